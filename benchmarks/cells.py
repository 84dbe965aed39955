"""One cell of the comparison: a method trained under one recipe with one seed on one data set. None is done twice.

A cell is worked in two steps, so that choosing cannot look at what is tested: `train_cell` knows the validation classes alone,
and `judge_cell` is called for the cells that were chosen.
"""

import hashlib
import shutil
import statistics
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.config import ModelConfig, TrainConfig
from model.data.feature_cache import feature_maps, features_folder
from model.data.manifest import Manifest, read_manifest
from model.data.pictures import decode_picture
from model.errors import GlocalError, InvalidInput
from model.evaluation.metrics import FIGURES, PerQuery, evaluate_retrieval
from model.files import read_json, sha256_json, write_json
from model.networks.heads import Embeddings, RetrievalNetwork, untrained_embedding
from model.networks.stored import NetworkSpec, load_network
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.retrieval.embedding import embed_manifest, merged_embedding
from model.retrieval.gallery import Gallery
from model.retrieval.retriever import Retriever
from model.training.train import train

LATENCY_QUERIES = 20
UNTRAINED = "untrained"


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
        """Where a cell's weights lie until it is tested or dropped."""
        return self.work / "networks" / self.key(cell)


@cache
def code_revision() -> str:
    """A hash of all source that a cell's figures depend on: other code, other cells."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in (*sorted((root / "model").rglob("*.py")), Path(__file__)):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def train_cell(bench: Bench, cell: Cell, progress: Progress | None = None) -> dict[str, Any]:
    """Train a cell; nothing of the test classes is looked at.

    Returns:
        `validation_map_at_r`, `history`, `epochs`, `best_epoch` and `seconds`; or `error`, where the loss diverged.
    """
    file = bench.file(cell, "trained.json")
    if not file.is_file():
        write_json(file, _train(bench, cell, progress))
    trained: dict[str, Any] = read_json(file)
    return trained


def _train(bench: Bench, cell: Cell, progress: Progress | None) -> dict[str, Any]:
    model, training = bench.settings(cell)
    begun = time.monotonic()
    try:
        report = train(
            bench.dataset, model, training, data_md5=bench.md5, work=bench.work, out=bench.network(cell), progress=progress
        )
    except GlocalError as error:
        if type(error) is not GlocalError:
            raise  # data or settings that no cell can use
        return {"error": error.headline}
    finally:
        shutil.rmtree(bench.work / "training", ignore_errors=True)
    learning = sum(entry.get("seconds", 0.0) for entry in report.history)
    seconds = max(learning, time.monotonic() - begun)  # a resumed training's clock saw only its end
    return {**asdict(report), "seconds": round(seconds, 3)}


def judge_cell(bench: Bench, cell: Cell, progress: Progress | None = None) -> dict[str, Any]:
    """A trained cell's figures on the test classes; beside them `PerQuery` in an .npz. Its weights are deleted.

    Returns:
        The figures, `queries`, `classes`, `dimensions`, `parameters` (that learn), `parameters_total` and `query_ms`.
    """
    file = bench.file(cell, "tested.json")
    if not file.is_file():
        folder = bench.network(cell)
        if not folder.is_dir():
            _train(bench, cell, progress)
        network = load_network(NetworkSpec.from_json(read_json(folder / "config.json")), folder / "weights.safetensors")
        learning = network if bench.train.trunk == "finetune" else network.heads
        write_json(file, _tested(bench, network, file.with_suffix(".npz"), learning))
        shutil.rmtree(folder)
    tested: dict[str, Any] = read_json(file)
    return tested


def drop_networks(bench: Bench, cells: list[Cell]) -> None:
    """Delete the weights of cells that were not chosen."""
    for cell in cells:
        shutil.rmtree(bench.network(cell), ignore_errors=True)


def per_query(bench: Bench, cell: Cell | None) -> PerQuery:
    """What each test query found under a tested cell, or under the untrained trunk."""
    return PerQuery.load(bench.file(cell, "tested.npz"))


def judge_untrained(bench: Bench, progress: Progress | None = None) -> dict[str, Any]:
    """The trunk as it was before training, its deep map averaged: what `judge_cell` returns, and `validation_map_at_r`.

    Frozen, this computes the maps of all pictures, which every cell then shares: no method's seconds hold that pass.
    """
    file = bench.file(None, "tested.json")
    if not file.is_file():
        torch.manual_seed(0)  # where the weights are random, those of seed 0
        network = RetrievalNetwork(make_trunk(bench.model.trunk, bench.model.weights).eval(), _Average())  # type: ignore[arg-type]
        figures = _tested(bench, network, file.with_suffix(".npz"), None, progress)
        figures["validation_map_at_r"] = _search(bench, network, "val", progress)[2].mean("map_at_r")
        write_json(file, figures)
    tested: dict[str, Any] = read_json(file)
    return tested


class _Average(nn.Module):
    """A head that has nothing to learn."""

    def forward(self, _: Tensor, deep: Tensor) -> Embeddings:
        """The deep map averaged over its places."""
        return Embeddings(untrained_embedding(deep), {})


def _tested(
    bench: Bench, network: RetrievalNetwork, npz: Path, learning: nn.Module | None, progress: Progress | None = None
) -> dict[str, Any]:
    network = network.to("cuda" if torch.cuda.is_available() and bench.train.device != "cpu" else "cpu")
    side, vectors, found = _search(bench, network, "test", progress)
    if not found.has_match.any():
        raise InvalidInput("No test picture has another of its class to find.", "Give more pictures of each class.")
    found.save(npz)
    gallery = Gallery(vectors, side.labels, side.ids, side.classes)
    return {
        **{name: found.mean(name) for name in FIGURES},
        "queries": len(found),
        "classes": len(np.unique(found.labels)),
        "dimensions": vectors.shape[1],
        "parameters": _count(learning) if learning else 0,
        "parameters_total": _count(network),
        "query_ms": round(_query_ms(Retriever(network, bench.model.image_size, gallery), side), 2),
    }


def _search(
    bench: Bench, network: RetrievalNetwork, split: str, progress: Progress | None
) -> tuple[Manifest, NDArray[np.float32], PerQuery]:
    """One side of the split searched among itself: its rows, their embeddings, and what they found."""
    manifest, size = read_manifest(bench.dataset), bench.model.image_size
    side = manifest.select(manifest.rows(split))
    if not len(side):
        raise InvalidInput(f"The data has no {split} classes.", "Five classes are needed at least.")
    maps = None
    if bench.train.trunk == "frozen":
        seen = manifest.select(manifest.rows("train", "val", "test"))  # as `train` keeps them
        folder = features_folder(bench.work, bench.md5, network.trunk, size)
        maps = feature_maps(seen, network.trunk, size, folder, progress).select(seen.rows(split))
    vectors = embed_manifest(network.trunk, merged_embedding(network), side, size, maps=maps, progress=progress)
    return side, vectors, evaluate_retrieval(vectors, side.labels, side.ids)


def _query_ms(retriever: Retriever, test: Manifest) -> float:
    """The median milliseconds of single queries: decode, resize, trunk, heads, and the search of the test classes."""
    times = []
    for row in np.linspace(0, len(test) - 1, LATENCY_QUERIES + 2).astype(int):
        data = (test.folder / str(test.paths[row])).read_bytes()
        started = time.perf_counter()
        retriever.search([decode_picture(data)], 5)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[2:])


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
