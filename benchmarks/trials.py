"""Trials: a trial trains one method with one seed on one data set. No trial runs twice.

The trial of seed 0 selects its settings on held-out classes (`model.training.selection`), the other seeds take what it chose.
This module does not read the test classes; `benchmarks.tested_trials` does.
"""

import shutil
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from model.config import ModelConfig, TrainConfig
from model.errors import Diverged
from model.files import read_json, sha256_json, sha256_sources, write_json
from model.progress import Progress
from model.training.candidates import Candidate
from model.training.selection import Choice
from model.training.train import train

UNTRAINED = "untrained"
REFERENCE = "multi_head"
"""The method that every other one is compared with."""
_OWN = ("trials.py", "tested_trials.py", "reranking.py")
"""Files of the benchmark on which the figures depend."""


@dataclass(frozen=True)
class Trial:
    """A method with a seed."""

    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method}-seed{self.seed}"


@dataclass(frozen=True)
class Bench:
    """The data, settings and folders that all trials on one data set share.

    Attributes:
        name: Name of the data set.
        dataset: Pinned folder of the data set, with a manifest.
        md5: Hash of the data.
        model: Settings of the network; each trial sets its method.
        train: Settings of the training; each trial sets its seed.
        work: Folder of feature maps, and of networks until they are evaluated.
        out: Folder that receives the trials' files.
    """

    name: str
    dataset: Path
    md5: str
    model: ModelConfig
    train: TrainConfig
    work: Path
    out: Path

    def settings(self, trial: Trial) -> tuple[ModelConfig, TrainConfig]:
        """The settings of one trial."""
        return self.model.model_copy(update={"method": trial.method}), self.train.model_copy(update={"seed": trial.seed})

    def key(self, trial: Trial | None) -> str:
        """A hash of everything that a trial's figures depend on; None stands for the untrained trunk."""
        model, training = self.settings(trial) if trial else (self.model, self.train)
        where = {"device", "workers"}
        return sha256_json([self.md5, code_revision(), model.model_dump(), training.model_dump(exclude=where), bool(trial)])[:16]

    def file(self, trial: Trial | None, suffix: str) -> Path:
        """The file of a part of a trial's result."""
        return self.out / "trials" / f"{trial or UNTRAINED}-{self.key(trial)}.{suffix}"

    def network(self, trial: Trial) -> Path:
        """The folder of a trial's weights, until they are deleted."""
        return self.work / "networks" / self.key(trial)


@cache
def code_revision() -> str:
    """A hash of all source code that a trial's figures depend on. Other code gives other trials."""
    root = Path(__file__).parent.parent
    files = (*sorted((root / "model").rglob("*.py")), *(root / "benchmarks" / name for name in _OWN))
    return sha256_sources(root, files)[:12]


def train_trial(bench: Bench, trial: Trial, progress: Progress | None = None) -> dict[str, Any]:
    """Train a trial, or read its result where it is finished.

    Returns:
        The fields of the `TrainReport`, and `seconds`; or `error`, where the loss diverged.
    """
    file = bench.file(trial, "trained.json")
    if not file.is_file():
        write_json(file, train_network(bench, trial, progress))
    trained: dict[str, Any] = read_json(file)
    return trained


def train_network(bench: Bench, trial: Trial, progress: Progress | None) -> dict[str, Any]:
    """Train a trial's network into `bench.network(trial)`; returns the same as `train_trial`."""
    model, training = bench.settings(trial)
    selected = train_trial(bench, replace(trial, seed=0), progress) if trial.seed else None
    if selected and "error" in selected:
        return selected
    begun, checkpoints = time.monotonic(), bench.work / "training"
    try:
        report = train(
            bench.dataset,
            model,
            training,
            data_md5=bench.md5,
            work=bench.work,
            out=bench.network(trial),
            progress=progress,
            choice=choice_of(selected) if selected else None,
        )
    except Diverged as error:
        shutil.rmtree(checkpoints, ignore_errors=True)
        return {"error": error.headline}
    shutil.rmtree(checkpoints, ignore_errors=True)  # kept until now: a stopped training resumes from them
    return {**report.model_dump(mode="json"), "seconds": round(time.monotonic() - begun, 3)}


def choice_of(trained: dict[str, Any]) -> Choice:
    """What the trial of seed 0 chose, from its result."""
    candidate = Candidate(trained["init"], trained["learning_rate"], trained["whole_heads"])
    return Choice(candidate, trained["best_epoch"], trained["merge_weights"])


def drop_networks(bench: Bench, trials: list[Trial]) -> None:
    """Delete the weights of trials that are evaluated."""
    for trial in trials:
        shutil.rmtree(bench.network(trial), ignore_errors=True)
