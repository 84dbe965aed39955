"""From a release and its data to a report: the test classes searched among themselves, beside the untrained trunk."""

import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.config import ModelConfig, TrainConfig
from model.data.cache.feature_maps import known_maps
from model.data.images import decode_image
from model.data.manifest import SPLITS, Manifest, read_manifest
from model.errors import InvalidInput
from model.evaluation.metrics import PerQuery, evaluate_retrieval
from model.evaluation.report import write_report
from model.files import read_json
from model.licences import of_package, of_weights
from model.networks.heads import untrained_embedding
from model.networks.methods import get_method
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.release import Release, open_release
from model.retrieval.embedding import embed_manifest, merged_embedding
from model.retrieval.retriever import Retriever

_LATENCY_QUERIES = 20


def evaluate_release(
    folder: Path,
    dataset: Path,
    out: Path,
    *,
    md5: str,
    model: ModelConfig,
    training: TrainConfig,
    work: Path | None = None,
    samples: int = 1000,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Judge a release on the test classes of its data, and write the report.

    Args:
        folder: The release.
        dataset: The data, as pinned.
        out: Receives report.json, report.html, model_card.md, candidate.npz and untrained.npz.
        md5: Of the data.
        model: What the release was trained from: names the untrained trunk.
        training: How it was trained, for the model card.
        work: Where training left the maps of these data under this trunk.
        samples: Bootstrap samples.
        progress: Told of every batch.

    Returns:
        The report, as in report.json.

    Raises:
        InvalidInput: The data has no test classes.
    """
    release = open_release(folder)
    manifest = read_manifest(dataset)
    test = _test(manifest)
    untrained = _untrained(model, manifest, md5, work, progress)
    return write_report(
        out,
        title=release.pin.path,
        manifest=test,
        candidate=query_test_classes(release, dataset, md5, progress),
        untrained=untrained,
        data=release.pin.to_json(),
        settings={
            "network": read_json(release.folder / "config.json"),
            "model": model.model_dump(),
            "train": training.model_dump(),
            "evaluate": {"samples": samples},
        },
        extra={
            "release": release.id,
            "embedding_space_id": release.embedding_space_id,
            "code_revision": release.manifest["code_revision"],
            "latency_ms": round(measure_latency(release.retriever(), test), 2),
            "size_mb": round(sum(file["size"] for file in release.manifest["files"].values()) / 2**20, 3),
            "gallery": {"samples": len(release.gallery), "classes": len(np.unique(release.gallery.labels))},
            "splits": {split: _size(manifest.select(manifest.rows(split))) for split in SPLITS},
            "calibration": read_json(release.folder / "calibration.json"),
            "network": _network(release),
            "licences": {"weights": of_weights(model.trunk, model.weights), "code": of_package("glocal")},
        },
        samples=samples,
    )


def query_test_classes(release: Release, dataset: Path, md5: str, progress: Progress | None = None) -> PerQuery:
    """Each test image a query to all others, under a release's network.

    Args:
        release: Any release; where it was made from these very data its gallery has the embeddings already.
        dataset: The data.
        md5: Of the data.
        progress: Told of every batch.
    """
    test = _test(read_manifest(dataset))
    if release.pin.md5 == md5:
        gallery = release.gallery
        order = np.argsort(gallery.ids)
        vectors = gallery.vectors[order[np.searchsorted(gallery.ids, test.ids, sorter=order)]]
    else:
        network = release.retriever().network
        vectors = embed_manifest(network.trunk, merged_embedding(network), test, release.spec.image_size, progress=progress)
    return evaluate_retrieval(vectors, test.labels, test.ids)


def measure_latency(retriever: Retriever, manifest: Manifest) -> float:
    """The median milliseconds from an image's bytes to its neighbours, one at a time."""
    times = []
    for row in np.linspace(0, len(manifest) - 1, _LATENCY_QUERIES + 2).astype(int):
        data = (manifest.folder / str(manifest.paths[row])).read_bytes()
        started = time.perf_counter()
        retriever.search([decode_image(data)], 5)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[2:])


def _untrained(model: ModelConfig, manifest: Manifest, md5: str, work: Path | None, progress: Progress | None) -> PerQuery:
    """The trunk as it was before training, its deep map averaged: from cached maps, or from the images."""
    torch.manual_seed(0)  # where its weights are random, the same ones every time
    trunk = make_trunk(model.trunk, model.weights).eval()
    test, maps = _test(manifest), known_maps(manifest, trunk, model.image_size, work, md5)
    maps = maps and maps.select(manifest.classified.rows("test"))
    vectors = embed_manifest(
        trunk, lambda _, deep: untrained_embedding(deep), test, model.image_size, maps=maps, progress=progress
    )
    return evaluate_retrieval(vectors, test.labels, test.ids)


def _network(release: Release) -> dict[str, Any]:
    """What the release's network is made of, and the losses of its method."""
    architecture = release.spec.architecture
    losses = [asdict(loss) for loss in get_method(release.spec.method).losses]
    return {**asdict(architecture), "dimensions": architecture.dimensions, "losses": losses}


def _size(manifest: Manifest) -> dict[str, int]:
    return {"classes": len(np.unique(manifest.labels)), "samples": len(manifest)}


def _test(manifest: Manifest) -> Manifest:
    rows = manifest.rows("test")
    if not len(rows):
        raise InvalidInput("The data has no test classes.", "Give the CSV a split column with test, or import with more classes.")
    return manifest.select(rows)
