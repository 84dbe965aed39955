"""The evaluation of a release: its test images are searched among themselves, and compared with the untrained trunk."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.config import EvaluateConfig, ModelConfig, TrainConfig
from model.data.cache.feature_maps import known_maps
from model.data.manifest import SPLITS, Manifest, read_manifest
from model.data.spread import evenly
from model.errors import InvalidInput
from model.evaluation.accept_rates import Accepted, accept_figures, identification, verification
from model.evaluation.contact_sheets import contact_sheets
from model.evaluation.detection import DetectedScene, detect_scenes, figures_of_scenes
from model.evaluation.embedding_map import embedding_map
from model.evaluation.figures import retrieval_figures
from model.evaluation.footprint import measure_memory
from model.evaluation.heads import compare_heads
from model.evaluation.latency import measure_latency
from model.evaluation.local_matches import matched_pairs
from model.evaluation.metrics import PerQuery, as_embedded, evaluate_retrieval
from model.evaluation.report import write_report
from model.evaluation.reranking import described, draw_sample, sample_figures
from model.evaluation.scene_images import scene_images
from model.licences import of_package, of_weights
from model.networks.heads import untrained_embedding
from model.networks.methods import get_method
from model.networks.trunk import make_trunk
from model.progress import Progress
from model.release import Release, open_release
from model.retrieval.cohort import Cohort
from model.retrieval.embedding import embed_manifest, merged_embedding
from model.schemas.calibration import Calibration
from model.schemas.illustrations import Illustrations
from model.schemas.report import Count, HeadDescription, Licences, LossDescription, NetworkDescription, Report
from model.schemas.reranking import Reranking
from model.schemas.train_report import read_training

_ASKED = 5
"""Test images that memory is measured with."""


def evaluate_release(
    folder: Path,
    checkpoint: Path,
    dataset: Path,
    out: Path,
    *,
    md5: str,
    model: ModelConfig,
    training: TrainConfig,
    evaluation: EvaluateConfig,
    work: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Evaluate a release on the test classes of its data, and write the report.

    Args:
        folder: Folder of the release.
        checkpoint: Folder that `train` wrote, with the training report.
        dataset: Folder of the pinned data.
        out: Folder of the report; see `model.evaluation.report.write_report`.
        md5: Hash of the data.
        model: Settings of the network that the release was trained from; they name the untrained trunk.
        training: Settings of the training, for the model card.
        evaluation: Settings of the intervals.
        work: Folder of cached feature maps of these data under this trunk.
        progress: Called after every batch.

    Raises:
        InvalidInput: The data has no test classes.
    """
    release, manifest, summary = open_release(folder), read_manifest(dataset), read_training(checkpoint)
    searched, thresholds = _searched(manifest), _thresholds(release.calibration)
    untrained = _evaluated(_untrained(model, manifest, md5, work, progress), searched)
    vectors = _embeddings(release, searched, md5, progress)
    candidate = _evaluated(vectors, searched, thresholds, release.cohort)
    retrieval = retrieval_figures(searched, candidate.found, untrained.found, samples=evaluation.samples)
    scenes = detect_scenes(release.detector, manifest, progress) if release.detector else []
    report = Report(
        **_described(release, manifest, model, training, evaluation, summary.merge_weights),
        retrieval=retrieval,
        verification=accept_figures(
            candidate.verified, untrained.verified, thresholds["verify"], retrieval.bootstrap, equal_error=True
        ),
        identification=accept_figures(
            candidate.identified, untrained.identified, thresholds["identify"], retrieval.bootstrap, equal_error=False
        ),
        detection=figures_of_scenes(scenes, samples=evaluation.samples),
        heads=compare_heads(release.spec.architecture, vectors, searched, retrieval.bootstrap, summary.merge_weights),
        latency=measure_latency(release.retriever(), manifest.select(manifest.rows("test"))),
        memory_mb=measure_memory(folder, _asked(manifest)),
        training=summary,
        reranking=_reranking(release, searched, md5, evaluation.samples),
        made_at=datetime.now(UTC),
    )
    illustrations = _illustrations(release, searched, vectors, candidate.found, scenes, retrieval.bootstrap.seed)
    write_report(out, report, illustrations, candidate=candidate.found, untrained=untrained.found)
    return report


def _illustrations(
    release: Release,
    searched: Manifest,
    vectors: NDArray[np.float32],
    found: PerQuery,
    scenes: list[DetectedScene],
    seed: int,
) -> Illustrations:
    return Illustrations(
        sheets=contact_sheets(searched, found, seed),
        matches=matched_pairs(release.network, release.spec.image_size, release.reranker, searched, found, seed),
        scenes=scene_images(scenes),
        map=embedding_map(vectors, searched, found, seed),
    )


def query_test_classes(release: Release, dataset: Path, md5: str, progress: Progress | None = None) -> PerQuery:
    """Search every test image among all others and the distractors, with a release's network.

    Args:
        release: Any release. If it was made from the same data, its gallery holds the embeddings.
        dataset: Folder of the data.
        md5: Hash of the data.
        progress: Called after every batch.
    """
    searched = _searched(read_manifest(dataset))
    return _retrieved(_embeddings(release, searched, md5, progress), searched)


def _embeddings(release: Release, searched: Manifest, md5: str, progress: Progress | None) -> NDArray[np.float32]:
    if release.pin.md5 == md5:
        return release.gallery.embeddings(_gallery_rows(release, searched))
    network = release.retriever().network
    return embed_manifest(network.trunk, merged_embedding(network), searched, release.spec.image_size, progress=progress)


class _Evaluated(NamedTuple):
    """What one network does on the test classes."""

    found: PerQuery
    verified: Accepted
    identified: Accepted


def _evaluated(
    vectors: NDArray[np.float32],
    searched: Manifest,
    thresholds: Mapping[str, Mapping[str, float]] | None = None,
    cohort: Cohort | None = None,
) -> _Evaluated:
    """Search the test samples, compare them as pairs and identify them, at the calibrated thresholds among others."""
    found, calibrated = _retrieved(vectors, searched), thresholds or {}
    samples, queries = as_embedded(vectors, searched.labels, searched.ids), len(found)
    return _Evaluated(
        found,
        verification(
            samples,
            queries=queries,
            calibrated=calibrated.get("verify"),
            offsets=cohort.offsets(vectors) if cohort else None,
        ),
        identification(found, calibrated=calibrated.get("identify")),
    )


def _thresholds(calibration: Calibration) -> dict[str, dict[str, float]]:
    """The thresholds of each operation, by their stated rate."""
    return {
        "verify": {rate: each.threshold for rate, each in calibration.verify.items()},
        "identify": {rate: each.threshold for rate, each in calibration.identify.items()},
    }


def _asked(manifest: Manifest) -> list[Path]:
    """A few images to measure memory with: test images, and a scene where there is one."""
    rows = manifest.rows("test")
    rows = np.concatenate([rows[evenly(len(rows), _ASKED)], manifest.rows("scene")[:1]])
    return [manifest.folder / str(path) for path in manifest.paths[rows]]


def _gallery_rows(release: Release, searched: Manifest) -> NDArray[np.int64]:
    """The rows of a gallery that hold these samples."""
    ids = release.gallery.entries.ids.as_array()
    order = np.argsort(ids)
    rows: NDArray[np.int64] = order[np.searchsorted(ids, searched.ids, sorter=order)]
    return rows


def _reranking(release: Release, searched: Manifest, md5: str, samples: int) -> Reranking | None:
    """The figures of a sample of test queries with and without re-ranking; None if the release, made from these data, has none.

    Queries and candidates have the local features of the gallery, which holds the test images too.
    """
    if release.reranker is None or release.pin.md5 != md5:
        return None
    rows = _gallery_rows(release, searched)
    sample = draw_sample(release.gallery.embeddings(rows), searched.labels, first=len(searched.rows("test")))
    sample = replace(sample, queries=rows[sample.queries], order=rows[sample.order])
    before, after = (sample_figures(sample, one) for one in (None, replace(release.reranker, budget_ms=np.inf)))
    return described(
        sample.labels, before, after, ratio=release.reranker.ratio, tried_ratio=release.reranker.ratio, samples=samples
    )


def _untrained(
    model: ModelConfig, manifest: Manifest, md5: str, work: Path | None, progress: Progress | None
) -> NDArray[np.float32]:
    """The embeddings of the trunk before training, its deep map averaged. Cached maps are used if there are any."""
    torch.manual_seed(0)  # a trunk with random weights has the same ones every time
    trunk = make_trunk(model.trunk, model.weights).eval()
    searched, maps = _searched(manifest), known_maps(manifest, trunk, model.image_size, work, md5)
    if maps:
        seen = manifest.classified
        maps = maps.select(np.concatenate([seen.rows("test"), seen.rows("distractor")]))
    return embed_manifest(
        trunk, lambda _, deep: untrained_embedding(deep), searched, model.image_size, maps=maps, progress=progress
    )


def _described(
    release: Release,
    manifest: Manifest,
    model: ModelConfig,
    training: TrainConfig,
    evaluation: EvaluateConfig,
    merge_weights: Mapping[str, float],
) -> dict[str, Any]:
    """The fields of a report that describe the evaluated release and its data."""
    settings = {
        "model": model.model_dump(mode="json"),
        "train": training.model_dump(mode="json"),
        "evaluate": evaluation.model_dump(),
    }
    return {
        "release": release.id,
        "embedding_space_id": release.embedding_space_id,
        "code_revision": release.manifest.code_revision,
        "data": release.pin,
        "settings": settings,
        "size_mb": release.size_mb,
        "gallery": Count(classes=len(np.unique(release.gallery.entries.labels)), samples=len(release.gallery)),
        "index": release.gallery.index,
        "splits": {split: _size(manifest.select(manifest.rows(split))) for split in SPLITS},
        "calibration": release.calibration,
        "network": _network(release, merge_weights),
        "licences": Licences(weights=of_weights(model.trunk, model.weights), code=of_package("glocal")),
    }


def _network(release: Release, merge_weights: Mapping[str, float]) -> NetworkDescription:
    """The description of the release's network, with the heads' weights that were chosen, and of the losses of its method."""
    spec = release.spec
    return NetworkDescription(
        method=spec.method,
        trunk=spec.trunk,
        image_size=spec.image_size,
        dimensions=spec.architecture.dimensions,
        heads=tuple(
            HeadDescription(name=name, settings=asdict(head) | {"weight": merge_weights.get(name, head.weight)})
            for name, head in spec.architecture.heads.items()
        ),
        losses=tuple(LossDescription(**asdict(loss)) for loss in get_method(spec.method).losses),
    )


def _size(manifest: Manifest) -> Count:
    return Count(classes=len(np.unique(manifest.labels)), samples=len(manifest))


def _retrieved(vectors: NDArray[np.float32], searched: Manifest) -> PerQuery:
    """Search every test sample among all other samples; a distractor is never a query."""
    return evaluate_retrieval(vectors, searched.labels, searched.ids, queries=len(searched.rows("test")))


def _searched(manifest: Manifest) -> Manifest:
    """The test samples, then the distractors."""
    if not len(manifest.rows("test")):
        raise InvalidInput("The data has no test classes.", "Give the CSV a split column with test, or import with more classes.")
    return manifest.searched
