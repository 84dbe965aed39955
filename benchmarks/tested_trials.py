"""The figures of chosen trials on the test classes. Stored figures are not computed again."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.reranking import Side, reranked
from benchmarks.trials import Bench, Trial, train_network, train_trial
from model.data.cache.feature_maps import feature_maps, features_folder
from model.data.manifest import Manifest, read_manifest
from model.errors import InvalidInput
from model.evaluation.latency import measure_latency
from model.evaluation.metrics import FIGURES, PerQuery, evaluate_retrieval
from model.files import read_json, write_json
from model.networks.heads import RetrievalNetwork, untrained_network
from model.networks.stored import NetworkSpec, load_network
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.retrieval.embedding import embed_manifest, merged_embedding
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.retriever import Retriever


def evaluate_trial(bench: Bench, trial: Trial, progress: Progress | None = None) -> dict[str, Any]:
    """Evaluate a trained trial on the test classes; the figures of each query are stored in an .npz beside the result.

    Returns:
        The figures, `queries`, `classes`, `dimensions`, `parameters` (trained ones), `parameters_total` and `query_ms`.
    """
    file = bench.file(trial, "tested.json")
    if not file.is_file():
        network = _load(bench, trial, progress)
        network.trunk.freeze_early(bench.train.frozen_stride)
        trained = network if bench.train.trunk == "finetune" else network.heads
        write_json(file, _tested(bench, network, file.with_suffix(".npz"), trained))
    tested: dict[str, Any] = read_json(file)
    return tested


def rerank_trial(bench: Bench, trial: Trial, progress: Progress | None) -> dict[str, Any] | None:
    """The result of `benchmarks.reranking.reranked` for the trial of seed 0; None for a method without local features."""
    file = bench.file(trial, "reranked.json")
    if not file.is_file():
        network, chosen = _load(bench, trial, progress), train_trial(bench, trial, progress)["reranking"]
        manifest = read_manifest(bench.dataset)
        test = Side(*_search_test(bench, network, progress)[:2])
        train_rows = manifest.select(manifest.rows("train"))
        write_json(file, chosen and reranked(network, train_rows, test, bench.model.image_size, chosen["ratio"]))
    found: dict[str, Any] | None = read_json(file)
    return found


def _load(bench: Bench, trial: Trial, progress: Progress | None) -> RetrievalNetwork:
    """A trial's network. Where its weights were deleted, it is trained again, to the same weights."""
    folder = bench.network(trial)
    if not folder.is_dir():
        train_network(bench, trial, progress)
    network = load_network(NetworkSpec.load(folder), folder)
    return network.to(_device(bench))


def _device(bench: Bench) -> str:
    return "cuda" if torch.cuda.is_available() and bench.train.device != "cpu" else "cpu"


def per_query(bench: Bench, trial: Trial | None) -> PerQuery:
    """The results of each test query under an evaluated trial, or under the untrained trunk (None)."""
    return PerQuery.load(bench.file(trial, "tested.npz"))


def evaluate_untrained(bench: Bench, progress: Progress | None = None) -> dict[str, Any]:
    """Evaluate the untrained trunk; returns the same as `evaluate_trial`.

    With a frozen trunk this computes the maps of all images, which all trials share: no method's seconds include that pass.
    """
    file = bench.file(None, "tested.json")
    if not file.is_file():
        torch.manual_seed(0)  # random weights, where the settings ask for them, are those of seed 0
        network = untrained_network(make_trunk(bench.model.trunk, bench.model.weights).eval()).to(_device(bench))
        write_json(file, _tested(bench, network, file.with_suffix(".npz"), None, progress))
    tested: dict[str, Any] = read_json(file)
    return tested


def _tested(
    bench: Bench, network: RetrievalNetwork, npz: Path, trained: nn.Module | None, progress: Progress | None = None
) -> dict[str, Any]:
    searched, vectors, found = _search_test(bench, network, progress)
    if not found.has_match.any():
        raise InvalidInput("No test image has another of its class to find.", "Give more images of each class.")
    found.save(npz)
    gallery = LocalGallery(vectors, Entries.of(searched.labels, searched.ids, searched.classes))
    return {
        **{name: found.mean(name) for name in FIGURES},
        "queries": len(found),
        "classes": len(np.unique(found.labels)),
        "dimensions": vectors.shape[1],
        "parameters": _count(each for each in trained.parameters() if each.requires_grad) if trained else 0,
        "parameters_total": _count(network.parameters()),
        "query_ms": round(measure_latency(Retriever(network, bench.model.image_size, gallery), searched).median_ms, 2),
    }


def _search_test(
    bench: Bench, network: RetrievalNetwork, progress: Progress | None
) -> tuple[Manifest, NDArray[np.float32], PerQuery]:
    """Search every test image among the other test images and the distractors.

    Returns:
        The test samples, then the distractors; their embeddings; and the results of each query.
    """
    manifest, size = read_manifest(bench.dataset), bench.model.image_size
    searched = manifest.searched
    queries = len(searched.rows("test"))
    if not queries:
        raise InvalidInput("The data has no test classes.", "Five classes are needed at least.")
    maps = None
    if bench.train.trunk == "frozen":
        seen = manifest.classified
        folder = features_folder(bench.work, bench.md5, network.trunk, size)
        maps = feature_maps(seen, network.trunk, size, folder, progress)
        maps = maps.select(np.concatenate([seen.rows("test"), seen.rows("distractor")]))
    vectors = embed_manifest(network.trunk, merged_embedding(network), searched, size, maps=maps, progress=progress)
    return searched, vectors, evaluate_retrieval(vectors, searched.labels, searched.ids, queries=queries)


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
