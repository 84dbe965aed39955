"""Geometric re-ranking: the first answers of the global search, sorted by how well their parts lie as the query's do.

Descriptors are matched by mutual nearest neighbours, matches verified by an affine map found with RANSAC, and candidates
sorted by the number of matches that obey it (Cao et al., DELG, ECCV 2020, section 4.2).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.retrieval.local_features import LocalFeatures

TRIALS = 1000
"""Affine maps tried, at most."""
FEWEST = 4
"""Matches that must agree: any three points obey some affine map."""
RATIO = 0.8
"""Lowe's (IJCV 2004). What is best differs between data sets: see docs/decisions/0007-local-features.md."""
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
        inliers: (N,) in that order: matches that obey one affine map; 0 for candidates that were not verified.
        verified: So many candidates were; they lead, the others follow in the global order.
        ended: Why not more: all up to the `limit` were; the time `budget` was spent; the query has `no_keypoints`.
    """

    order: NDArray[np.int64]
    inliers: NDArray[np.int64]
    verified: int
    ended: Literal["limit", "budget", "no_keypoints"]


def mutual_nearest(query: LocalFeatures, candidate: LocalFeatures, *, threshold: float = 0.0, ratio: float = RATIO) -> Matches:
    """Pairs that are each other's nearest descriptors, in the query's order. Of equally near ones the first counts.

    Args:
        query: Its local features.
        candidate: Those it is compared with.
        threshold: The least cosine similarity.
        ratio: Lowe's: a match must be nearer than this share of the distance to the second nearest. 1 asks for nothing.

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


def verify(query: LocalFeatures, candidate: LocalFeatures, matches: Matches, *, tolerance: float = 1.0) -> NDArray[np.bool_]:
    """Which matches obey one affine map from the query to the candidate, (M,).

    Deterministic, and bounded: `TRIALS` maps are tried at most. A map that mirrors, or stretches or shrinks more than
    fourfold in any direction, is no view of the same thing and counts for nothing.

    Args:
        query: Whose keypoints are mapped.
        candidate: Where they should land.
        matches: Of the two.
        tolerance: How far off a match may land, in strides of the candidate's coarsest place.
    """
    none = np.zeros(len(matches), np.bool_)
    if len(matches) < FEWEST:
        return none
    affine, inliers = cv2.estimateAffine2D(
        query.positions[matches.query], candidate.positions[matches.candidate], _ransac(tolerance * float(candidate.scales.max()))
    )
    if affine is None or inliers is None or not _plausible(np.asarray(affine[:, :2], np.float64)):
        return none
    mask = inliers.ravel().astype(np.bool_)
    return mask if mask.sum() >= FEWEST else none


def _ransac(threshold: float) -> cv2.UsacParams:
    params = cv2.UsacParams()
    params.threshold, params.maxIterations, params.confidence = threshold, TRIALS, 0.999
    params.randomGeneratorState, params.isParallel = _SEED, False
    params.sampler, params.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_RANSAC
    params.loMethod = cv2.LOCAL_OPTIM_INNER_LO
    return params


def _plausible(linear: NDArray[np.float64]) -> bool:
    if not np.isfinite(linear).all() or np.linalg.det(linear) <= 0:
        return False
    stretch = np.linalg.svd(linear, compute_uv=False)
    return bool(stretch[0] <= _LARGEST_STRETCH and stretch[1] >= 1 / _LARGEST_STRETCH)


def count_inliers(query: LocalFeatures, candidate: LocalFeatures, *, ratio: float = RATIO) -> int:
    """Matches between two images that obey one affine map."""
    return int(verify(query, candidate, mutual_nearest(query, candidate, ratio=ratio)).sum())


def rerank(
    query: LocalFeatures,
    candidates: Sequence[LocalFeatures],
    scores: NDArray[np.float32],
    *,
    limit: int = 100,
    budget_ms: float = 500.0,
    ratio: float = RATIO,
    clock: Callable[[], float] = time.perf_counter,
) -> Reranked:
    """Sort a query's candidates by inliers, equal ones by the global score.

    Args:
        query: Its local features.
        candidates: Those of the global search's answers. Read one at a time, so they may lie on disk.
        scores: (N,) their global scores. Equal ones keep the order that they come in.
        limit: The first so many are verified, at most.
        budget_ms: No further candidate is begun once this time has passed. One takes some milliseconds.
        ratio: Of `mutual_nearest`: to be chosen on validation classes.
        clock: In seconds.

    Raises:
        InvalidInput: Not as many scores as candidates, or a score that is not finite.
    """
    if scores.shape != (len(candidates),) or not np.isfinite(scores).all():
        raise InvalidInput("Re-ranking needs one finite score for every candidate.")
    order = np.argsort(-scores, kind="stable")
    if not len(query):
        return Reranked(order, np.zeros(len(order), np.int64), 0, "no_keypoints")
    inliers, verified = np.zeros(len(order), np.int64), min(limit, len(order))
    start = clock()
    for place in range(verified):
        if (clock() - start) * 1000 >= budget_ms:
            return _sorted(order, inliers, place, "budget")
        inliers[place] = count_inliers(query, candidates[int(order[place])], ratio=ratio)
    return _sorted(order, inliers, verified, "limit")


def _sorted(order: NDArray[np.int64], inliers: NDArray[np.int64], verified: int, ended: Literal["limit", "budget"]) -> Reranked:
    places = np.arange(len(order))
    places[:verified] = np.argsort(-inliers[:verified], kind="stable")
    return Reranked(order[places], inliers[places], verified, ended)
