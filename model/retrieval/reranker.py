"""Re-ranking as a part of a search: local features of the gallery, and the choice on validation classes whether to use them.

Its gain differs between data sets and with the quality of the global search: docs/decisions/0007-local-features.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.networks.heads import Head, RetrievalNetwork
from model.retrieval.geometric_verification import Reranked, rerank
from model.retrieval.local_features import DIMENSIONS, LocalFeatures, extract, fit_reduction, local_head, local_maps

RATIOS = (0.8, 0.9, 1.0)
"""Candidates for Lowe's ratio."""


@dataclass(frozen=True)
class Reranker:
    """Local features of a gallery, and how queries are matched with them.

    Attributes:
        network: Network in evaluation mode, with a local head or DELG's autoencoder.
        size: Side of the square image from which local features are extracted.
        features: Local features by gallery row; all rows that a search may return.
        reduction: (D, 128) projection, where the local head's vectors are longer than 128.
        ratio: Lowe's ratio of `mutual_nearest`; None keeps the global order.
        limit: Maximum candidates verified.
        budget_ms: Time after which no further candidate is verified.
    """

    network: RetrievalNetwork
    size: int
    features: Sequence[LocalFeatures] | Mapping[int, LocalFeatures]
    reduction: NDArray[np.float32] | None
    ratio: float | None = 0.8
    limit: int = 30
    budget_ms: float = 500.0

    def describe(self, images: Sequence[Tensor]) -> list[LocalFeatures]:
        """Local features of images (3, H, W) uint8, under the gallery's reduction."""
        return extract(self.network, images, self.size, reduction=self.reduction)

    def order(self, query: LocalFeatures, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Reranked:
        """The answers of a global search in a new order.

        Args:
            query: Local features from `describe`.
            rows: (N,) rows of the gallery, best first.
            scores: (N,) global scores of these rows.
        """
        if self.ratio is None:
            return Reranked(np.arange(len(rows)), np.zeros(len(rows), np.int64), 0, "limit")
        candidates = [self.features[int(row)] for row in rows[: self.limit]]
        found = rerank(query, candidates, scores[: self.limit], limit=self.limit, budget_ms=self.budget_ms, ratio=self.ratio)
        rest = np.arange(len(candidates), len(rows))
        return replace(
            found,
            order=np.concatenate([found.order, rest]),
            inliers=np.concatenate([found.inliers, np.zeros(len(rest), np.int64)]),
        )


@torch.inference_mode()
def reduction_for(
    network: RetrievalNetwork, batches: Callable[[], Iterable[Sequence[Tensor]]], size: int
) -> NDArray[np.float32] | None:
    """The reduction to 128 dimensions, fitted to batches of images; None where the local vectors are short enough.

    Raises:
        InvalidInput: The method has no local features.
    """
    head = local_head(network.heads)
    if not isinstance(head, Head) or head.spec.dimensions <= DIMENSIONS:
        return None
    return fit_reduction(head.local_vectors(local_maps(network, images, size)[1]) for images in batches())


def choose_ratio(reranker: Reranker, score: Callable[[Reranker], float]) -> Reranker:
    """The reranker with the best ratio, or with none; of equally good ones the cheapest is chosen.

    Args:
        reranker: Reranker over the validation classes.
        score: Figure of the validation classes under a reranker; higher is better.
    """
    tried = [replace(reranker, ratio=ratio) for ratio in (None, *RATIOS)]
    return max(tried, key=score)
