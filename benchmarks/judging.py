"""The figures of chosen cells on the test classes. A figure that is there already is not made again."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.cells import Bench, Cell, train_network
from benchmarks.reranking import Side, reranked
from model.data.cache.feature_maps import feature_maps, features_folder
from model.data.manifest import Manifest, read_manifest
from model.errors import InvalidInput
from model.evaluation.latency import measure_latency
from model.evaluation.metrics import FIGURES, PerQuery, evaluate_retrieval
from model.files import read_json, write_json
from model.networks.heads import Embeddings, RetrievalNetwork, untrained_embedding
from model.networks.stored import NetworkSpec, load_network
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.retrieval.embedding import embed_manifest, merged_embedding
from model.retrieval.gallery import Gallery
from model.retrieval.retriever import Retriever


def judge_cell(bench: Bench, cell: Cell, progress: Progress | None = None) -> dict[str, Any]:
    """A trained cell's figures on the test classes; beside them `PerQuery` in an .npz.

    Returns:
        The figures, `queries`, `classes`, `dimensions`, `parameters` (that learn), `parameters_total` and `query_ms`.
    """
    file = bench.file(cell, "tested.json")
    if not file.is_file():
        network = _load(bench, cell, progress)
        learning = network if bench.train.trunk == "finetune" else network.heads
        write_json(file, _tested(bench, network, file.with_suffix(".npz"), learning))
    tested: dict[str, Any] = read_json(file)
    return tested


def rerank_cell(bench: Bench, cell: Cell, progress: Progress | None) -> dict[str, Any] | None:
    """What `benchmarks.reranking.reranked` says of a trained cell; None for a method without local features."""
    file = bench.file(cell, "reranked.json")
    if not file.is_file():
        network = _load(bench, cell, progress)
        manifest = read_manifest(bench.dataset)
        val, test = (Side(*_search(bench, network, split, progress)[:2]) for split in ("val", "test"))
        train_rows = manifest.select(manifest.rows("train"))
        write_json(file, reranked(network, train_rows, val, test, bench.model.image_size))
    found: dict[str, Any] | None = read_json(file)
    return found


def _load(bench: Bench, cell: Cell, progress: Progress | None) -> RetrievalNetwork:
    """A cell's network; where its weights were dropped since, it is trained again, to the same ones."""
    folder = bench.network(cell)
    if not folder.is_dir():
        train_network(bench, cell, progress)
    network = load_network(NetworkSpec.from_json(read_json(folder / "config.json")), folder / "weights.safetensors")
    return network.to(_device(bench))


def _device(bench: Bench) -> str:
    return "cuda" if torch.cuda.is_available() and bench.train.device != "cpu" else "cpu"


def per_query(bench: Bench, cell: Cell | None) -> PerQuery:
    """What each test query found under a tested cell, or under the untrained trunk."""
    return PerQuery.load(bench.file(cell, "tested.npz"))


def judge_untrained(bench: Bench, progress: Progress | None = None) -> dict[str, Any]:
    """The trunk as it was before training, its deep map averaged: what `judge_cell` returns, and `validation_map_at_r`.

    Frozen, this computes the maps of all images, which every cell then shares: no method's seconds hold that pass.
    """
    file = bench.file(None, "tested.json")
    if not file.is_file():
        torch.manual_seed(0)  # where the weights are random, those of seed 0
        network = RetrievalNetwork(make_trunk(bench.model.trunk, bench.model.weights).eval(), _Average())  # type: ignore[arg-type]
        network = network.to(_device(bench))
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
    side, vectors, found = _search(bench, network, "test", progress)
    if not found.has_match.any():
        raise InvalidInput("No test image has another of its class to find.", "Give more images of each class.")
    found.save(npz)
    gallery = Gallery(vectors, side.labels, side.ids, side.classes)
    return {
        **{name: found.mean(name) for name in FIGURES},
        "queries": len(found),
        "classes": len(np.unique(found.labels)),
        "dimensions": vectors.shape[1],
        "parameters": _count(learning) if learning else 0,
        "parameters_total": _count(network),
        "query_ms": round(measure_latency(Retriever(network, bench.model.image_size, gallery), side).median_ms, 2),
    }


def _search(
    bench: Bench, network: RetrievalNetwork, split: str, progress: Progress | None
) -> tuple[Manifest, NDArray[np.float32], PerQuery]:
    """One side of the split, test with the distractors, searched among itself: its rows, their embeddings, what they found."""
    manifest, size = read_manifest(bench.dataset), bench.model.image_size
    side = manifest.searched if split == "test" else manifest.select(manifest.rows(split))
    queries = len(side.rows(split))
    if not queries:
        raise InvalidInput(f"The data has no {split} classes.", "Five classes are needed at least.")
    maps = None
    if bench.train.trunk == "frozen":
        seen = manifest.classified
        folder = features_folder(bench.work, bench.md5, network.trunk, size)
        maps = feature_maps(seen, network.trunk, size, folder, progress)
        rows = [seen.rows(each) for each in ((split, "distractor") if split == "test" else (split,))]
        maps = maps.select(np.concatenate(rows))
    vectors = embed_manifest(network.trunk, merged_embedding(network), side, size, maps=maps, progress=progress)
    return side, vectors, evaluate_retrieval(vectors, side.labels, side.ids, queries=queries)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
