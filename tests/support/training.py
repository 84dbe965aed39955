"""Small trainings on drawn images: their settings, and what an uninterrupted one gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from model.config import ModelConfig, TrainConfig
from model.networks.architecture import Architecture
from model.networks.methods import ABLATIONS, HEADS
from model.schemas.train_report import TrainReport
from model.training import checkpoint, class_statistics, epochs, fold_trials
from model.training import train as training

SELECTING = ModelConfig(method="local_average", trunk="test_efficientnet", weights="none", image_size=32)
"""A model whose training compares candidates: see `small_heads`."""
MODEL = SELECTING.model_copy(update={"global_attention": "second_order"})
"""A model whose attention is named, so that there is one candidate."""
MD5 = "a" * 32
MODES = ("frozen", "finetune")
CLASSES = {"train": 6, "val": 2, "test": 2}
"""Classes of a data set whose folds hold out more than two classes."""


@contextmanager
def small_heads() -> Iterator[None]:
    """`local_average` with second moments of 8 channels, not 64, whose whitening takes a second of every init.

    The covariances of so few images are not shrunk any further: the init would be perfect, and no training could be told from
    another.
    """
    heads = {
        "global": HEADS["global"],
        "parts": replace(HEADS["parts"], channels=8, dimensions=24),
        "local": replace(HEADS["local"], channels=None, pooling="average", dimensions=16),
    }
    with pytest.MonkeyPatch.context() as patch:
        small = replace(ABLATIONS["local_average"], architecture=Architecture(heads))
        patch.setitem(ABLATIONS, "local_average", small)
        patch.setattr(class_statistics, "FEW", 0.0)
        yield


def settings(mode: str, **changes) -> TrainConfig:
    return TrainConfig(
        **{
            "trunk": mode,
            "epochs": 4,
            "classes_per_batch": 4,
            "images_per_class": 2,  # two steps an epoch
            "learning_rates": (5e-4,),
            "trunk_learning_rate": 2e-3,
            "patience": 10,
            "folds": 1,
            "seed": 1,
            "device": "cpu",
            "workers": 1 if mode == "finetune" else 0,
            **changes,
        }
    )


def on_folds(**changes) -> TrainConfig:
    """Settings of a training with a race of three candidates, three folds, and a training on all classes."""
    return settings("frozen", **{"folds": 3, "epochs": 3, "learning_rates": (1e-2, 3e-2), "seed": 18, **changes})


def figures(report: TrainReport) -> list[dict[str, float | None]]:
    return [entry.model_dump(exclude={"seconds"}) for entry in report.history]


def same_training(one: tuple[TrainReport, Path], other: tuple[TrainReport, Path]) -> bool:
    """Whether two trainings have the same report, but for durations, and wrote the same bytes."""
    (report, folder), (expected, whole) = one, other
    assert figures(report) == figures(expected)
    assert report.model_dump(exclude={"history"}) == expected.model_dump(exclude={"history"})
    files = ("weights.safetensors", "held_out.safetensors", "config.json")
    return all((folder / file).read_bytes() == (whole / file).read_bytes() for file in files)


def same_as(whole, mode, report, out) -> bool:
    return same_training((report, out), whole[mode])


def at_step(monkeypatch, step: int, action: Callable[[], None]) -> None:
    """Call `action` before a step of the optimiser, counted over all trainings and epochs."""
    real, steps = epochs._set_rates, count()

    def set_rates(*arguments):
        if next(steps) == step:
            action()
        real(*arguments)

    monkeypatch.setattr(epochs, "_set_rates", set_rates)


def interrupted_at(monkeypatch, step: int, error: BaseException) -> None:
    """Fail at a step of the optimiser, counted over all trainings and epochs."""

    def fail() -> None:
        raise error

    at_step(monkeypatch, step, fail)


def steps_taken(monkeypatch) -> list[int]:
    """The steps that are taken from now on, by their number in their own training."""
    real, taken = epochs._set_rates, []

    def set_rates(learner, step, steps_per_epoch):
        taken.append(step)
        real(learner, step, steps_per_epoch)

    monkeypatch.setattr(epochs, "_set_rates", set_rates)
    return taken


def killed_before_write(monkeypatch, write: int, stage: str = "", name: str = "") -> None:
    """Fail before the checkpoint of that number is written, of those of one stage and one name where they are given."""
    real, writes = checkpoint.save_checkpoint, count()

    def save(path, *arguments):
        if path.parent.name.startswith(stage) and path.stem.startswith(name) and next(writes) == write:
            raise KeyboardInterrupt
        real(path, *arguments)

    monkeypatch.setattr(checkpoint, "save_checkpoint", save)


def stages_of_steps(monkeypatch) -> list[str]:
    """The stage of each step that is taken from now on: `race`, `folds` or `all`, as the checkpoints are named."""
    stages: list[str] = []

    def noting(real):
        def train_epoch(learner, counters, save, stopping):
            before = len(taken)
            loss = real(learner, counters, save, stopping)
            stages.extend([save.__self__.path.parent.name.partition("-")[0]] * (len(taken) - before))
            return loss

        return train_epoch

    taken = steps_taken(monkeypatch)
    for module in (fold_trials, training):
        monkeypatch.setattr(module, "train_epoch", noting(module.train_epoch))
    return stages
