"""Re-ranking as a part of a search: the gallery's local features, kept, and whether to use them, decided on validation classes.

Whether it pays differs between data sets, and with how good the global search already is: docs/decisions/0007-local-features.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.networks.heads import Head, RetrievalNetwork
from model.retrieval.geometric_verification import Reranked, rerank
from model.retrieval.local_features import DIMENSIONS, LocalFeatures, extract, fit_reduction, local_head, local_maps

RATIOS = (0.8, 0.9, 1.0)
"""Lowe's ratios that are tried."""


@dataclass(frozen=True)
class Reranker:
    """Local features of a gallery and how queries are matched with them.

    Attributes:
        network: In evaluation mode; its method has a local head or DELG's autoencoder.
        size: Side of the square image that local features are taken from.
        features: Of every gallery row, in its order.
        reduction: (D, 128), where the local head's vectors are longer.
        ratio: Lowe's, of `mutual_nearest`; None: the global order stays.
        limit: So many of the first answers are verified, at most.
        budget_ms: No further one is begun once this time has passed.
    """

    network: RetrievalNetwork
    size: int
    features: Sequence[LocalFeatures]
    reduction: NDArray[np.float32] | None
    ratio: float | None = 0.8
    limit: int = 30
    budget_ms: float = 500.0

    def describe(self, images: Sequence[Tensor]) -> list[LocalFeatures]:
        """Local features of images (3, H, W) uint8, comparable with the gallery's."""
        return extract(self.network, images, self.size, reduction=self.reduction)

    def order(self, query: LocalFeatures, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Reranked:
        """The answers of a global search in a new order.

        Args:
            query: From `describe`.
            rows: (N,) of the gallery, best first.
            scores: (N,) their global scores.
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


def make_reranker(network: RetrievalNetwork, batches: Callable[[], Iterable[Sequence[Tensor]]], size: int) -> Reranker:
    """Take the local features of a gallery.

    Args:
        network: In evaluation mode.
        batches: Called once or twice: images (3, H, W) uint8 of the gallery's rows, in order, some at a time.
        size: Side of the square image that they are taken from: about twice what the network was trained on.

    Raises:
        InvalidInput: The method has no local features.
    """
    head = local_head(network.heads)
    reduction = None
    if isinstance(head, Head) and head.spec.dimensions > DIMENSIONS:
        with torch.inference_mode():
            reduction = fit_reduction(head.places(local_maps(network, images, size)[1]) for images in batches())
    features = [found for images in batches() for found in extract(network, images, size, reduction=reduction)]
    return Reranker(network, size, features, reduction)


def choose_ratio(reranker: Reranker, judge: Callable[[Reranker], float]) -> Reranker:
    """The reranker under the ratio, or without any, that does best; of equally good ones the one that costs least.

    Args:
        reranker: Over the validation classes.
        judge: A figure of those classes, better when higher.
    """
    tried = [replace(reranker, ratio=ratio) for ratio in (None, *RATIOS)]
    return max(tried, key=judge)
