"""The gain of geometric re-ranking, on a sample of test queries, for a method with local features.

Validation queries choose whether to re-rank, and Lowe's ratio.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.images import load_image
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.networks.heads import RetrievalNetwork
from model.retrieval.local_features import extract
from model.retrieval.reranker import Reranker, choose_ratio, reduction_for

QUERIES, CANDIDATES, FITTED = 100, 30, 256
"""Queries of a sample, candidates of each query, and training images that a reduction is fitted to."""
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
    """Choose a ratio, or none, on validation queries; measure test queries with and without re-ranking.

    Returns:
        `ratio` (None where re-ranking does not improve validation), `map_at_r`, `recall_at_1`, `without` (the same two without
        re-ranking), `queries`, and `extra_ms`, the time of a query beside the global search; None for a method without local
        features.
    """
    fitted = train.select(np.sort(spread(train.labels, FITTED)))
    try:
        reduction = reduction_for(network, lambda: _images(fitted, size), size)
    except InvalidInput:
        return None
    sample = Sample(network, val, size, reduction)
    ratio = choose_ratio(sample.reranker, lambda reranker: sample.figures(reranker).map_at_r).ratio
    sample = Sample(network, test, size, reduction)
    without, with_it = (sample.figures(replace(sample.reranker, ratio=each)) for each in (None, ratio))
    return {
        "ratio": ratio,
        "map_at_r": with_it.map_at_r,
        "recall_at_1": with_it.recall_at_1,
        "without": {"map_at_r": without.map_at_r, "recall_at_1": without.recall_at_1},
        "queries": len(sample.queries),
        "extra_ms": round(with_it.ms + sample.extract_ms, 2) if ratio else 0.0,
    }


def spread(labels: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Random rows, one of each class before a second of any."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    order = np.argsort(labels[rows], kind="stable")
    grouped = labels[rows][order]
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - np.searchsorted(grouped, grouped)
    return rows[np.argsort(turn, kind="stable")][:count]


class Sample:
    """Queries of one side of the split, with the order of their candidates and a reranker over both."""

    def __init__(self, network: RetrievalNetwork, side: Side, size: int, reduction: NDArray[np.float32] | None) -> None:
        labels = side.rows.labels
        several = np.flatnonzero((np.bincount(labels)[labels] > 1) & (side.rows.splits != "distractor"))
        self.queries = several[spread(labels[several], QUERIES)]
        self.scores = side.vectors[self.queries] @ side.vectors.T  # (Q, N)
        self.scores[np.arange(len(self.queries)), self.queries] = -np.inf
        self.match = labels[self.queries, None] == labels
        self.order = np.stack([np.lexsort((m, -s))[:-1] for s, m in zip(self.scores, self.match, strict=True)])
        seen = np.union1d(self.queries, self.order[:, :CANDIDATES])
        began = time.perf_counter()
        chunks = _images(side.rows.select(seen), size)
        found = [features for images in chunks for features in extract(network, images, size, reduction=reduction)]
        self.extract_ms = (time.perf_counter() - began) * 1000 / len(seen)
        features = dict(zip(seen.tolist(), found, strict=True))
        self.reranker = Reranker(network, size, features, reduction, limit=CANDIDATES, budget_ms=np.inf)

    def figures(self, reranker: Reranker) -> Figures:
        """The figures of the sample's queries under a reranker."""
        precisions, firsts, times = [], [], []
        for query, scores, match, order in zip(self.queries, self.scores, self.match, self.order, strict=True):
            began = time.perf_counter()
            ranked = order[reranker.order(reranker.features[int(query)], order, scores[order]).order]
            times.append((time.perf_counter() - began) * 1000)
            precisions.append(map_at_r(match[ranked], int(match.sum()) - 1))
            firsts.append(bool(match[ranked[0]]))
        return Figures(float(np.mean(precisions)), float(np.mean(firsts)), float(np.median(times)))


def map_at_r(right: NDArray[np.bool_], r: int) -> float:
    """MAP@R of one ranking, `right` (N,), with r possible matches; see `model.evaluation.metrics`."""
    hits = np.flatnonzero(right[:r]) + 1
    return float((np.arange(1, len(hits) + 1) / hits).sum() / r)


def _images(manifest: Manifest, size: int) -> Iterator[list[torch.Tensor]]:
    for begin in range(0, len(manifest), _CHUNK):
        rows = range(begin, min(begin + _CHUNK, len(manifest)))
        yield [load_image(manifest.folder / str(manifest.paths[row]), size, manifest.box(row)) for row in rows]
