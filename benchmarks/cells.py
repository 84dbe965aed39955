"""One cell of the comparison: a method trained under one recipe with one seed on one data set. None is done twice.

Nothing here looks at the test classes: those are for `benchmarks.judging`, which is called for the cells that were chosen.
"""

import shutil
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from model.config import ModelConfig, TrainConfig
from model.errors import GlocalError
from model.files import read_json, sha256_json, sha256_sources, write_json
from model.progress import Progress
from model.training.train import train

UNTRAINED = "untrained"
_OWN = ("cells.py", "judging.py", "reranking.py")
"""Of the benchmark's own source, what figures depend on."""


@dataclass(frozen=True)
class Recipe:
    """What tuning chooses: settings of `model.config.TrainConfig`."""

    start: Literal["whitened", "random"]
    learning_rate: float
    proxy_learning_rate: float = 1e-2

    def __str__(self) -> str:
        return f"{self.start}-{self.learning_rate:g}-{self.proxy_learning_rate:g}"


@dataclass(frozen=True)
class Cell:
    """A method under a recipe with a seed."""

    method: str
    recipe: Recipe
    seed: int

    def __str__(self) -> str:
        return f"{self.method}-{self.recipe}-seed{self.seed}"


@dataclass(frozen=True)
class Bench:
    """What all cells on one data set share.

    Attributes:
        name: What the data set is called.
        dataset: Its pinned folder, with a manifest.
        md5: Names the data.
        model: The network; the method is each cell's own.
        train: The training; recipe and seed are each cell's own.
        work: Holds feature maps, and networks until they are tested.
        out: Receives the cells' files.
    """

    name: str
    dataset: Path
    md5: str
    model: ModelConfig
    train: TrainConfig
    work: Path
    out: Path

    def settings(self, cell: Cell) -> tuple[ModelConfig, TrainConfig]:
        """What a cell is trained with."""
        changes = {**asdict(cell.recipe), "seed": cell.seed}
        return self.model.model_copy(update={"method": cell.method}), self.train.model_copy(update=changes)

    def key(self, cell: Cell | None) -> str:
        """Names everything a cell's figures depend on; None is the untrained trunk."""
        model, training = self.settings(cell) if cell else (self.model, self.train)
        where = {"device", "workers"}
        return sha256_json([self.md5, code_revision(), model.model_dump(), training.model_dump(exclude=where), bool(cell)])[:16]

    def file(self, cell: Cell | None, suffix: str) -> Path:
        """Where a part of a cell's result lies."""
        return self.out / "cells" / f"{cell or UNTRAINED}-{self.key(cell)}.{suffix}"

    def network(self, cell: Cell) -> Path:
        """Where a cell's weights lie until they are dropped."""
        return self.work / "networks" / self.key(cell)


@cache
def code_revision() -> str:
    """A hash of all source that a cell's figures depend on: other code, other cells."""
    root = Path(__file__).parent.parent
    files = (*sorted((root / "model").rglob("*.py")), *(root / "benchmarks" / name for name in _OWN))
    return sha256_sources(root, files)[:12]


def train_cell(bench: Bench, cell: Cell, progress: Progress | None = None) -> dict[str, Any]:
    """Train a cell; nothing of the test classes is looked at.

    Returns:
        `validation_map_at_r`, `history`, `epochs`, `best_epoch` and `seconds`; or `error`, where the loss diverged.
    """
    file = bench.file(cell, "trained.json")
    if not file.is_file():
        write_json(file, train_network(bench, cell, progress))
    trained: dict[str, Any] = read_json(file)
    return trained


def train_network(bench: Bench, cell: Cell, progress: Progress | None) -> dict[str, Any]:
    """Train a cell's network into `bench.network(cell)`; returns what `train_cell` does."""
    model, training = bench.settings(cell)
    begun, checkpoints = time.monotonic(), bench.work / "training"
    try:
        report = train(
            bench.dataset, model, training, data_md5=bench.md5, work=bench.work, out=bench.network(cell), progress=progress
        )
    except GlocalError as error:
        if type(error) is not GlocalError:
            raise  # data or settings that no cell can use
        shutil.rmtree(checkpoints, ignore_errors=True)
        return {"error": error.headline}
    shutil.rmtree(checkpoints, ignore_errors=True)  # only now: a stopped training goes on from there
    learning = sum(entry.get("seconds", 0.0) for entry in report.history)
    seconds = max(learning, time.monotonic() - begun)  # a resumed training's clock saw only its end
    return {**asdict(report), "seconds": round(seconds, 3)}


def drop_networks(bench: Bench, cells: list[Cell]) -> None:
    """Delete the weights of cells that were not chosen, or are done with."""
    for cell in cells:
        shutil.rmtree(bench.network(cell), ignore_errors=True)
