"""Geometric verification: candidates of the global search gain by the number of local matches that one affine map fits.

Descriptors are matched by mutual nearest neighbours, and RANSAC estimates an affine map (Cao et al., DELG, ECCV 2020, section
4.2). In DELG the inliers alone sort the candidates. Here they are added to the global score, because a good embedding knows
more than a few matches do (docs/decisions/0007-local-features.md).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import InvalidInput

if TYPE_CHECKING:
    from model.retrieval.local_features import LocalFeatures

ITERATIONS = 1000
"""Maximum RANSAC iterations."""
MIN_INLIERS = 4
"""Least number of inliers: some affine map fits any three points exactly."""
RATIO = 0.8
"""Lowe's ratio (IJCV 2004). The best value differs between data sets: see docs/decisions/0007-local-features.md."""
WEIGHT = 0.2
"""What `ENOUGH` inliers add to a candidate's cosine similarity."""
ENOUGH = 30
"""Number of inliers from which on further ones add nothing."""
PLACES = 64
"""Maximum matches of two images whose places are named."""
_LARGEST_STRETCH = 4.0
_SEED = 0


@dataclass(frozen=True)
class Matches:
    """Pairs of keypoints: (M,) rows of the query, (M,) rows of the candidate, and (M,) cosine similarities."""

    query: NDArray[np.int64]
    candidate: NDArray[np.int64]
    similarity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True)
class Reranked:
    """A new order of a query's candidates.

    Attributes:
        order: (N,) rows of the candidates, best first.
        inliers: (N,) matches in that order that one affine map fits; 0 for candidates that were not verified.
        verified: Number of candidates that were verified, the first ones of the global order.
        ended: Reason to stop: all up to the `limit` were verified, the time `budget` ran out, or the query has `no_keypoints`.
    """

    order: NDArray[np.int64]
    inliers: NDArray[np.int64]
    verified: int
    ended: Literal["limit", "budget", "no_keypoints"]


def mutual_nearest(
    query: "LocalFeatures", candidate: "LocalFeatures", *, threshold: float = 0.0, ratio: float = RATIO
) -> Matches:
    """Pairs of descriptors that are each other's nearest neighbours, in the query's order. Among equals the first counts.

    Args:
        query: Local features of the query.
        candidate: Local features of the candidate.
        threshold: Least cosine similarity of a match.
        ratio: Lowe's ratio: maximum distance of a match, as a share of the distance to the second nearest; 1 for no test.

    Raises:
        InvalidInput: The descriptors are not of the same length.
    """
    if query.descriptors.shape[1] != candidate.descriptors.shape[1]:
        raise InvalidInput("Descriptors of different lengths cannot be matched.")
    if not len(query) or not len(candidate):
        return Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    similarity = query.descriptors @ candidate.descriptors.T
    rows, nearest = np.arange(len(query)), similarity.argmax(axis=1)
    best = similarity[rows, nearest]
    kept = (similarity.argmax(axis=0)[nearest] == rows) & (best >= threshold)
    if ratio < 1 and len(candidate) > 1:
        second = np.partition(similarity, -2, axis=1)[:, -2]
        kept &= 1 - best < ratio**2 * (1 - second)  # a squared distance of unit vectors is 2 - 2 cos
    return Matches(rows[kept], nearest[kept], best[kept])


def verify(query: "LocalFeatures", candidate: "LocalFeatures", matches: Matches, *, tolerance: float = 1.0) -> NDArray[np.bool_]:
    """Whether each match is an inlier of one affine map from the query to the candidate, (M,).

    The result is deterministic and the time is bounded: at most `ITERATIONS` maps are tried. A map that mirrors, or scales by
    more than 4 or less than 1/4 in any direction, is not plausible for two views of one object and has no inliers.

    Args:
        query: Local features whose keypoints are mapped.
        candidate: Local features that they are mapped to.
        matches: Matches of the two.
        tolerance: Maximum distance of an inlier from its match, in strides of the candidate's coarsest keypoint.
    """
    none = np.zeros(len(matches), np.bool_)
    if len(matches) < MIN_INLIERS:
        return none
    affine, inliers = cv2.estimateAffine2D(
        query.positions[matches.query], candidate.positions[matches.candidate], _ransac(tolerance * float(candidate.scales.max()))
    )
    if affine is None or inliers is None or not _plausible(np.asarray(affine[:, :2], np.float64)):
        return none
    mask = inliers.ravel().astype(np.bool_)
    return mask if mask.sum() >= MIN_INLIERS else none


def _ransac(threshold: float) -> cv2.UsacParams:
    params = cv2.UsacParams()
    params.threshold, params.maxIterations, params.confidence = threshold, ITERATIONS, 0.999
    params.randomGeneratorState, params.isParallel = _SEED, False
    params.sampler, params.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_RANSAC
    params.loMethod = cv2.LOCAL_OPTIM_INNER_LO
    return params


def _plausible(linear: NDArray[np.float64]) -> bool:
    if not np.isfinite(linear).all() or np.linalg.det(linear) <= 0:
        return False
    stretch = np.linalg.svd(linear, compute_uv=False)
    return bool(stretch[0] <= _LARGEST_STRETCH and stretch[1] >= 1 / _LARGEST_STRETCH)


def inlying(query: "LocalFeatures", candidate: "LocalFeatures", *, ratio: float = RATIO) -> Matches:
    """The matches between two images that one affine map fits, in the query's order."""
    matches = mutual_nearest(query, candidate, ratio=ratio)
    kept = verify(query, candidate, matches)
    return Matches(matches.query[kept], matches.candidate[kept], matches.similarity[kept])


def count_inliers(query: "LocalFeatures", candidate: "LocalFeatures", *, ratio: float = RATIO) -> int:
    """Number of matches between two images that one affine map fits."""
    return len(inlying(query, candidate, ratio=ratio))


def matched_places(query: "LocalFeatures", candidate: "LocalFeatures", *, ratio: float = RATIO) -> NDArray[np.float32]:
    """Where the matches lie that one affine map fits: the `PLACES` most similar ones, best first.

    Returns:
        (M, 4) float32: x and y in the query, x and y in the candidate, as shares of each image's width and height.
    """
    found = inlying(query, candidate, ratio=ratio)
    best = np.argsort(-found.similarity, kind="stable")[:PLACES]
    here, there = query.positions[found.query[best]] / query.size, candidate.positions[found.candidate[best]] / candidate.size
    return np.concatenate([here, there], axis=1)


def rerank(
    query: "LocalFeatures",
    candidates: Sequence["LocalFeatures"],
    scores: NDArray[np.float32],
    *,
    limit: int = 100,
    budget_ms: float = 500.0,
    ratio: float = RATIO,
    clock: Callable[[], float] = time.perf_counter,
) -> Reranked:
    """Sort a query's candidates by `ranking_score`, in which those that are not verified have no inliers.

    Args:
        query: Local features of the query.
        candidates: Local features of the candidates. They are read one at a time, so they may be stored on disk.
        scores: (N,) cosine similarities of the candidates. Candidates with equal scores keep their order.
        limit: Maximum candidates verified.
        budget_ms: Time after which no further candidate is verified. One candidate takes some milliseconds.
        ratio: Lowe's ratio of `mutual_nearest`, chosen on the validation classes.
        clock: Clock in seconds.

    Raises:
        InvalidInput: There are not as many scores as candidates, or a score is not finite.
    """
    if scores.shape != (len(candidates),) or not np.isfinite(scores).all():
        raise InvalidInput("Re-ranking needs one finite score for every candidate.")
    order = np.argsort(-scores, kind="stable")
    if not len(query):
        return Reranked(order, np.zeros(len(order), np.int64), 0, "no_keypoints")
    inliers, verified = np.zeros(len(order), np.int64), min(limit, len(order))
    ended: Literal["limit", "budget"] = "limit"
    began = clock()
    for rank in range(verified):
        if (clock() - began) * 1000 >= budget_ms:
            verified, ended = rank, "budget"
            break
        inliers[rank] = count_inliers(query, candidates[int(order[rank])], ratio=ratio)
    ranks = np.argsort(-ranking_score(scores[order], inliers), kind="stable")
    return Reranked(order[ranks], inliers[ranks], verified, ended)


def ranking_score(scores: ArrayLike, inliers: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarities (N,) and numbers of inliers (N,) -> the figures (N,) by which re-ranked candidates are sorted."""
    return np.asarray(scores, np.float64) + WEIGHT * np.minimum(inliers, ENOUGH) / ENOUGH
