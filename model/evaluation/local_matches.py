"""Local matches drawn: where a query and one of its neighbours match by their local features."""

import numpy as np
from numpy.typing import NDArray
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
    readable = {
        each: image
        for each in (row, *figures.neighbours[row, :_NEIGHBOURS].tolist())
        if each >= 0 and (image := _image(manifest, each, size)) is not None
    }
    ranks = [rank for rank, other in enumerate(figures.neighbours[row, :_NEIGHBOURS].tolist()) if other in readable]
    if row not in readable or not ranks:
        return None
    reduction, ratio = (reranker.reduction, reranker.ratio) if reranker else (None, RATIO)
    features = dict(zip(readable, extract(network, list(readable.values()), size, reduction=reduction), strict=True))
    query, candidates = features[row], [features[int(figures.neighbours[row, rank])] for rank in ranks]
    best = _first(query, candidates, figures.scores[row, ranks], ratio)
    other, score = int(figures.neighbours[row, ranks[best]]), float(figures.scores[row, ranks[best]])
    places = matched_places(query, candidates[best], ratio=ratio).astype(float).round(4).tolist()
    return MatchedPair(
        query=sheet_image(manifest, row),
        found=sheet_image(manifest, other, right=bool(manifest.labels[other] == manifest.labels[row]), score=score),
        places=tuple((x, y, u, v) for x, y, u, v in places),
    )


def _first(query: LocalFeatures, candidates: list[LocalFeatures], scores: NDArray[np.float32], ratio: float) -> int:
    """The number of the candidate that re-ranking puts first."""
    inliers = [len(inlying(query, candidate, ratio=ratio)) for candidate in candidates]
    return int(np.argmax(ranking_score(scores, inliers)))


def _image(manifest: Manifest, row: int, size: int) -> Tensor | None:
    """A sample as the trunk sees it; None if its image cannot be read."""
    try:
        return load_image(manifest.folder / str(manifest.paths[row]), size, manifest.box(row))
    except InvalidInput:
        return None
