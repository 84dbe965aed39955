"""The figures of a sample of queries with and without re-ranking, for selection, evaluation and benchmark.

All queries would take too long.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data.spread import spread
from model.evaluation.bootstrap import bootstrap_interval
from model.evaluation.metrics import map_at_r
from model.retrieval.reranker import CANDIDATES, Reranker
from model.schemas.reranking import Reranking

QUERIES = 120
"""Maximum queries of a sample."""


@dataclass(frozen=True)
class Sample:
    """Queries with the global order of all their candidates. Among equal scores wrong candidates come first.

    Attributes:
        queries: (Q,) rows of the queries.
        labels: (Q,) their classes.
        order: (Q, N - 1) rows of the candidates, best first.
        scores: (Q, N - 1) float32, their scores.
        right: (Q, N - 1) bool, whether they are of the query's class.
    """

    queries: NDArray[np.int64]
    labels: NDArray[np.int64]
    order: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def compared(self) -> NDArray[np.int64]:
        """The rows whose local features are compared: the queries and their first candidates, ascending."""
        return np.union1d(self.queries, self.order[:, :CANDIDATES])


def draw_sample(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], *, first: int | None = None, count: int = QUERIES
) -> Sample:
    """Queries that are spread over the classes, each with all other rows as candidates.

    Args:
        vectors: (N, D) float32, L2-normalised.
        labels: (N,) classes.
        first: Number of first rows that may be queries; the others are distractors. By default all may.
        count: Maximum queries.
    """
    several = np.flatnonzero((np.bincount(labels)[labels] > 1)[:first])
    queries = several[spread(labels[several], count)]
    scores = vectors[queries] @ vectors.T  # (Q, N)
    scores[np.arange(len(queries)), queries] = -np.inf
    right = labels[queries, None] == labels
    order = np.stack([np.lexsort((match, -score))[:-1] for score, match in zip(scores, right, strict=True)])
    return Sample(queries, labels[queries], order, np.take_along_axis(scores, order, 1), np.take_along_axis(right, order, 1))


class QueryFigures(NamedTuple):
    """MAP@R and Recall@1 of each query, (Q,) each."""

    map_at_r: NDArray[np.float64]
    recall_at_1: NDArray[np.float64]


def sample_figures(sample: Sample, reranker: Reranker | None) -> QueryFigures:
    """The figures of a sample under a reranker of its rows; None: of the global search."""
    right = sample.right
    if reranker is not None:
        found = [
            reranker.order(reranker.features[int(query)], rows, scores).order
            for query, rows, scores in zip(sample.queries, sample.order, sample.scores, strict=True)
        ]
        right = np.take_along_axis(right, np.stack(found), 1)
    return QueryFigures(np.array([ranking_map_at_r(one) for one in right]), right[:, 0].astype(np.float64))


def ranking_map_at_r(right: NDArray[np.bool_]) -> float:
    """MAP@R of the whole ranking of one query, (N,) with a right one at least."""
    r = int(right.sum())
    return map_at_r(np.flatnonzero(right[:r]) + 1, r)


def described(
    labels: NDArray[np.int64],
    before: QueryFigures,
    after: QueryFigures,
    *,
    ratio: float | None,
    tried_ratio: float,
    samples: int = 1000,
) -> Reranking:
    """The means of a sample's figures before and after re-ranking, and the interval of their difference.

    Args:
        labels: (Q,) classes of the queries; the bootstrap draws whole classes.
        before: Figures of the global search.
        after: Figures after re-ranking with `tried_ratio`.
        ratio: Ratio that is chosen; None for no re-ranking.
        tried_ratio: Ratio of `after`.
        samples: Number of resamples.
    """
    return Reranking(
        ratio=ratio,
        tried_ratio=tried_ratio,
        candidates=CANDIDATES,
        queries=len(labels),
        map_at_r_before=float(before.map_at_r.mean()),
        map_at_r=float(after.map_at_r.mean()),
        recall_at_1_before=float(before.recall_at_1.mean()),
        recall_at_1=float(after.recall_at_1.mean()),
        gain_interval=bootstrap_interval(after.map_at_r - before.map_at_r, labels, samples=samples),
    )
