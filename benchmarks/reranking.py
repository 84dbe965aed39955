"""What geometric re-ranking adds to a method that has local features, on a sample of queries; validation says whether."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.cache.feature_maps import box_of
from model.data.images import load_image
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.networks.heads import RetrievalNetwork
from model.retrieval.geometric_verification import rerank
from model.retrieval.local_features import DIMENSIONS, LocalFeatures, extract, fit_reduction, local_head, local_maps

RATIOS = (0.8, 0.9, 1.0)
QUERIES, CANDIDATES, FITTED = 100, 30, 256
"""Queries of a sample, candidates of each, and training images that a reduction is fitted to."""
_CHUNK = 32


class Side(NamedTuple):
    """The samples of one side of the split, and their global embeddings (N, D)."""

    rows: Manifest
    vectors: NDArray[np.float32]


class Figures(NamedTuple):
    """Means over a sample of queries; `ms` is the median time of matching and verifying."""

    map_at_r: float
    recall_at_1: float
    ms: float


def reranked(network: RetrievalNetwork, train: Manifest, val: Side, test: Side, size: int) -> dict[str, Any] | None:
    """Choose a ratio, or none, on validation queries; give the figures of test queries with and without it.

    Returns:
        `ratio` (None where validation is found best without), `map_at_r`, `recall_at_1`, `without` (the same two), `queries`,
        and `extra_ms`, what a query takes beside the global search; None for a method without local features.
    """
    try:
        local_head(network.heads)
    except InvalidInput:
        return None
    reduction = _reduction(network, train, size)
    sample = _Sample(network, val, size, reduction)
    plain = sample.figures(None)
    tried = {ratio: sample.figures(ratio) for ratio in RATIOS}
    best = max(RATIOS, key=lambda ratio: tried[ratio].map_at_r)
    ratio = best if tried[best].map_at_r > plain.map_at_r else None
    sample = _Sample(network, test, size, reduction)
    without, with_it = sample.figures(None), sample.figures(ratio)
    return {
        "ratio": ratio,
        "map_at_r": with_it.map_at_r,
        "recall_at_1": with_it.recall_at_1,
        "without": {"map_at_r": without.map_at_r, "recall_at_1": without.recall_at_1},
        "queries": len(sample.queries),
        "extra_ms": round(with_it.ms + sample.extract_ms, 2) if ratio else 0.0,
    }


def spread(labels: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows drawn at random, one of each class before a second of any."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    order = np.argsort(labels[rows], kind="stable")
    grouped = labels[rows][order]
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - np.searchsorted(grouped, grouped)
    return rows[np.argsort(turn, kind="stable")][:count]


class _Sample:
    """Queries of one side with their candidates, and the local features of both."""

    def __init__(self, network: RetrievalNetwork, side: Side, size: int, reduction: NDArray[np.float32] | None) -> None:
        labels = side.rows.labels
        several = np.flatnonzero((np.bincount(labels)[labels] > 1) & (side.rows.splits != "distractor"))
        self.queries = several[spread(labels[several], QUERIES)]
        self.scores = side.vectors[self.queries] @ side.vectors.T  # (Q, N)
        self.scores[np.arange(len(self.queries)), self.queries] = -np.inf
        self.match = labels[self.queries, None] == labels
        self.order = np.stack([np.lexsort((m, -s))[:-1] for s, m in zip(self.scores, self.match, strict=True)])
        seen = np.union1d(self.queries, self.order[:, :CANDIDATES])
        begun = time.perf_counter()
        found = _extracted(network, side.rows.select(seen), size, reduction)
        self.extract_ms = (time.perf_counter() - begun) * 1000 / len(seen)
        self.features: dict[int, LocalFeatures] = dict(zip(seen.tolist(), found, strict=True))

    def figures(self, ratio: float | None) -> Figures:
        """With the first candidates re-ranked under `ratio`; None leaves them."""
        precisions, firsts, times = [], [], []
        for query, scores, match, order in zip(self.queries, self.scores, self.match, self.order, strict=True):
            begun, ranked = time.perf_counter(), order
            if ratio is not None:
                top = order[:CANDIDATES]
                candidates = [self.features[int(row)] for row in top]
                new = rerank(self.features[int(query)], candidates, scores[top], budget_ms=np.inf, ratio=ratio).order
                ranked = np.concatenate([top[new], order[CANDIDATES:]])
            times.append((time.perf_counter() - begun) * 1000)
            precisions.append(map_at_r(match[ranked], int(match.sum()) - 1))
            firsts.append(bool(match[ranked[0]]))
        return Figures(float(np.mean(precisions)), float(np.mean(firsts)), float(np.median(times)))


def map_at_r(right: NDArray[np.bool_], r: int) -> float:
    """MAP@R of one ranking, `right` (N,), with r possible matches; see `model.evaluation.metrics`."""
    hits = np.flatnonzero(right[:r]) + 1
    return float((np.arange(1, len(hits) + 1) / hits).sum() / r)


def _images(manifest: Manifest, size: int) -> Iterator[list[torch.Tensor]]:
    for start in range(0, len(manifest), _CHUNK):
        rows = range(start, min(start + _CHUNK, len(manifest)))
        yield [load_image(manifest.folder / str(manifest.paths[row]), size, box_of(manifest, row)) for row in rows]


def _extracted(
    network: RetrievalNetwork, manifest: Manifest, size: int, reduction: NDArray[np.float32] | None
) -> list[LocalFeatures]:
    chunks = _images(manifest, size)
    return [features for images in chunks for features in extract(network, images, size, reduction=reduction)]


@torch.inference_mode()
def _reduction(network: RetrievalNetwork, train: Manifest, size: int) -> NDArray[np.float32] | None:
    """Long descriptors are brought to their length by what training images show; None where they are short enough."""
    head = local_head(network.heads)
    sample = train.select(np.sort(spread(train.labels, FITTED)))
    places = (head.describe(local_maps(network, images, size)[1])[0] for images in _images(sample, size))
    first = next(places)
    return fit_reduction([first, *places]) if first.shape[-1] > DIMENSIONS else None
