"""Small trainings on drawn images: their settings, and what an uninterrupted one gives."""

from itertools import count

from model.config import ModelConfig, TrainConfig
from model.schemas.train_report import TrainReport
from model.training import epochs

# Of the methods with a whitened init and a tuned head, the one whose whitening is quick.
MODEL = ModelConfig(method="local_average", trunk="test_efficientnet", weights="none", image_size=32)
MD5 = "a" * 32
MODES = ("frozen", "finetune")


def settings(mode: str, **changes) -> TrainConfig:
    return TrainConfig(
        **{
            "trunk": mode,
            "epochs": 4,
            "classes_per_batch": 4,
            "images_per_class": 2,  # two steps an epoch
            "learning_rates": (2e-3,),
            "trunk_learning_rate": 2e-3,
            "patience": 10,
            "folds": 1,
            "seed": 5,
            "device": "cpu",
            "workers": 1 if mode == "finetune" else 0,
            **changes,
        }
    )


def figures(report: TrainReport) -> list[dict[str, float | None]]:
    return [entry.model_dump(exclude={"seconds"}) for entry in report.history]


def same_as(whole, mode, report, out) -> bool:
    expected, folder = whole[mode]
    assert figures(report) == figures(expected)
    assert (report.epochs_done, report.best_epoch, report.validation_map_at_r) == (
        expected.epochs_done,
        expected.best_epoch,
        expected.validation_map_at_r,
    )
    return (out / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def interrupted_at(monkeypatch, step: int, error: BaseException) -> None:
    """Fail at a step of the optimiser, counted over all epochs."""
    real, steps = epochs._set_rates, count()

    def set_rates(*arguments):
        if next(steps) == step:
            raise error
        real(*arguments)

    monkeypatch.setattr(epochs, "_set_rates", set_rates)
