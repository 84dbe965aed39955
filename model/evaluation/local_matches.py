"""Local matches drawn: where a query and one of its neighbours match by their local features."""

import numpy as np
from torch import Tensor

from model.data.images import load_image
from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.evaluation.contact_sheets import sheet_image, typical_queries
from model.evaluation.metrics import PerQuery
from model.networks.heads import RetrievalNetwork
from model.retrieval.geometric_verification import RATIO, inlying, matched_places, ranking_score
from model.retrieval.local_features import LocalFeatures, extract, local_head
from model.retrieval.reranker import Reranker
from model.schemas.illustrations import MatchedPair

QUERIES = 6
"""Queries that are shown."""
_NEIGHBOURS = 5
"""Neighbours of a query of which the one that re-ranking would put first is shown."""


def matched_pairs(
    network: RetrievalNetwork, size: int, reranker: Reranker | None, manifest: Manifest, figures: PerQuery, seed: int = 0
) -> tuple[MatchedPair, ...]:
    """Typical queries, each with the neighbour that re-ranking puts first; none if the network has no local head.

    Args:
        network: Network in evaluation mode.
        size: Side of its square input.
        reranker: What re-ranks the release's answers; None if it does not: the usual ratio is taken then.
        manifest: Searched samples: the queries in the order of `figures`, then the distractors.
        figures: Figures and neighbours of each query.
        seed: Seed of the choice among equal queries.
    """
    try:
        local_head(network.heads)
    except InvalidInput:
        return ()
    rows = [int(row) for row in typical_queries(figures, QUERIES, seed)]
    pairs = [_pair(network, size, reranker, manifest, figures, row) for row in rows]
    return tuple(pair for pair in pairs if pair)


def _pair(
    network: RetrievalNetwork, size: int, reranker: Reranker | None, manifest: Manifest, figures: PerQuery, row: int
) -> MatchedPair | None:
    others = [int(other) for other in figures.neighbours[row, :_NEIGHBOURS] if other >= 0]
    try:
        images = [_image(manifest, each, size) for each in (row, *others)]
    except InvalidInput:  # an image that cannot be read is named elsewhere
        return None
    reduction, ratio = (reranker.reduction, reranker.ratio) if reranker else (None, RATIO)
    query, *candidates = extract(network, images, size, reduction=reduction)
    first = _first(query, candidates, figures.scores[row, : len(others)].astype(float).tolist(), ratio)
    other = others[first]
    return MatchedPair(
        query=sheet_image(manifest, row),
        found=sheet_image(
            manifest,
            other,
            right=bool(manifest.labels[other] == manifest.labels[row]),
            score=float(figures.scores[row, first]),
        ),
        places=tuple(
            (x, y, u, v) for x, y, u, v in matched_places(query, candidates[first], ratio=ratio).astype(float).round(4).tolist()
        ),
    )


def _first(query: LocalFeatures, candidates: list[LocalFeatures], scores: list[float], ratio: float) -> int:
    """The number of the candidate that re-ranking puts first."""
    inliers = [len(inlying(query, candidate, ratio=ratio)) for candidate in candidates]
    return int(np.argmax(ranking_score(scores, inliers)))


def _image(manifest: Manifest, row: int, size: int) -> Tensor:
    return load_image(manifest.folder / str(manifest.paths[row]), size, manifest.box(row))
