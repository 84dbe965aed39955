"""Re-ranking as a part of a search: the first answers of the global search are sorted again by their local features.

Its gain differs between data sets and with the quality of the global search (docs/decisions/0007-local-features.md), so
`model.training.reranking` chooses on held-out classes whether a release has it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.spread import spread
from model.networks.heads import Head, MultiHead
from model.retrieval.embedding import MappedImages
from model.retrieval.geometric_verification import Reranked, matched_places, rerank
from model.retrieval.local_features import DIMENSIONS, LocalFeatures, fit_reduction, local_head, local_map
from model.schemas.golden import Places

RATIOS = (0.8, 0.9, 1.0)
"""Candidates for Lowe's ratio."""
CANDIDATES = 30
"""Answers of the global search that are sorted again."""
BUDGET_MS = 2000.0
"""Time after which no further candidate of a query is verified. All 30 take 10 to 100 ms, so that the same image gets the same
answer unless the machine is out of breath."""
FITTED = 256
"""Training images that a reduction is fitted to."""


class FeaturesByRow(Protocol):
    """Local features of a gallery: a list, a mapping, or arrays from which those of one row are cut."""

    def __getitem__(self, row: int, /) -> LocalFeatures:
        """The local features of a row."""
        ...


@dataclass(frozen=True)
class Reranker:
    """Local features of a gallery, and how queries are matched with them.

    Attributes:
        features: Local features by gallery row, for all rows that a search may return.
        reduction: (D, 128) projection of descriptors, where the local head's vectors are longer than 128.
        ratio: Lowe's ratio of `mutual_nearest`.
        limit: Maximum candidates verified.
        budget_ms: Time after which no further candidate is verified.
    """

    features: FeaturesByRow
    reduction: NDArray[np.float32] | None
    ratio: float
    limit: int = CANDIDATES
    budget_ms: float = BUDGET_MS

    def order(self, query: LocalFeatures, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Reranked:
        """Sort the answers of a global search anew.

        Args:
            query: Local features of the query, under the gallery's reduction.
            rows: (N,) rows of the gallery, best first.
            scores: (N,) global scores of these rows.
        """
        candidates = [self.features[int(row)] for row in rows[: self.limit]]
        reranked = rerank(query, candidates, scores[: self.limit], limit=self.limit, budget_ms=self.budget_ms, ratio=self.ratio)
        rest = np.arange(len(candidates), len(rows))
        return replace(
            reranked,
            order=np.concatenate([reranked.order, rest]),
            inliers=np.concatenate([reranked.inliers, np.zeros(len(rest), np.int64)]),
        )

    def places(self, query: LocalFeatures, candidate: LocalFeatures) -> Places:
        """Where two images match, as a release's answers name it: see `matched_places`."""
        found = matched_places(query, candidate, ratio=self.ratio)
        return tuple((x, y, u, v) for x, y, u, v in found.astype(float).round(4).tolist())


def fitted_rows(labels: NDArray[np.int64], trained: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows that a reduction is fitted to, ascending: at most `FITTED` of the trained ones, spread over their classes.

    Args:
        labels: (N,) classes of all rows.
        trained: Rows that the network was trained on.
    """
    return np.sort(trained[spread(labels[trained], FITTED)])


@torch.inference_mode()
def reduction_for(heads: MultiHead, batches: Callable[[], Iterable[MappedImages]]) -> NDArray[np.float32] | None:
    """The reduction to 128 dimensions, fitted to batches of images; None where the local vectors are short enough.

    Raises:
        InvalidInput: The method has no local features.
    """
    head = local_head(heads)
    if not isinstance(head, Head) or head.spec.dimensions <= DIMENSIONS:
        return None
    return fit_reduction(head.local_vectors(local_map(heads, shallow, deep)) for _, shallow, deep in batches())
