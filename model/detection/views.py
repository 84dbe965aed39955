"""The outline of an object that several images show: the hull of the keypoints that an affine map carries from image to image.

What surrounds an object differs between its images, so what agrees is the object. GrabCut alone takes clutter for the object and
parts of the object for clutter; see docs/decisions/0011-detection.md.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model.detection.keypoints import Keypoints
from model.detection.masks import Points

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

PARTNERS = 5
"""Other images that an image is compared with."""
RATIO = 0.9
"""Lowe's ratio of a match."""
LEAST = 8
"""Least keypoints that agree."""
_TOLERANCE = 0.04
_STRETCH = 2.5
_ITERATIONS = 300


def common_outlines(views: Sequence[Keypoints], sides: Sequence[float]) -> list[Points | None]:
    """The hull of what each image shares with others of the same object.

    Args:
        views: Keypoints of whole images of one object.
        sides: Longest side of each image in pixels.

    Returns:
        (P, 2) float32 in pixels for each image; None where fewer than `LEAST` keypoints agree with any other image.
    """
    shared = [np.zeros(len(view), bool) for view in views]
    for first in range(len(views)):
        for step in range(1, PARTNERS + 1):
            second = first + step
            if second >= len(views):
                break
            here, there = _agreeing(views[first], views[second], _TOLERANCE * sides[second])
            shared[first][here] = True
            shared[second][there] = True
    return [_hull(view, rows) for view, rows in zip(views, shared, strict=True)]


def joined(*outlines: Points) -> Points:
    """The convex hull of outlines."""
    return np.asarray(cv2.convexHull(np.concatenate(outlines).astype(np.float32))[:, 0], np.float32)


def _hull(view: Keypoints, rows: NDArray[np.bool_]) -> Points | None:
    """The convex hull of the circles of some keypoints."""
    if rows.sum() < LEAST:
        return None
    radius = view.scales[rows][:, None] / 2
    around = [view.positions[rows] + radius * np.array(each, np.float32) for each in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    return np.asarray(cv2.convexHull(np.concatenate(around).astype(np.float32))[:, 0], np.float32)


def _agreeing(one: Keypoints, other: Keypoints, tolerance: float) -> tuple[Rows, Rows]:
    """Rows of the keypoints of two images that match and that one affine map carries from one to the other."""
    here, there = _mutual(one, other)
    nothing = np.empty(0, np.int64)
    if len(here) < LEAST:
        return nothing, nothing
    params = cv2.UsacParams()
    params.threshold, params.maxIterations, params.confidence = tolerance, _ITERATIONS, 0.999
    params.randomGeneratorState, params.isParallel = 0, False
    params.sampler, params.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_RANSAC
    affine, inliers = cv2.estimateAffine2D(one.positions[here], other.positions[there], params)
    if affine is None or inliers is None or inliers.sum() < LEAST or not _plausible(np.asarray(affine[:, :2], np.float64)):
        return nothing, nothing
    kept = inliers.ravel().astype(bool)
    return here[kept], there[kept]


def _mutual(one: Keypoints, other: Keypoints) -> tuple[Rows, Rows]:
    """Rows of keypoints that are each other's nearest, and clearly so."""
    if len(one) < LEAST or len(other) < LEAST:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    cosines = one.descriptors @ other.descriptors.T
    rows, nearest = np.arange(len(one)), cosines.argmax(axis=1)
    best, second = cosines[rows, nearest], np.partition(cosines, -2, axis=1)[:, -2]
    kept = (cosines.argmax(axis=0)[nearest] == rows) & (1 - best < RATIO**2 * (1 - second))
    return rows[kept], nearest[kept]


def _plausible(linear: NDArray[np.float64]) -> bool:
    if not np.isfinite(linear).all() or np.linalg.det(linear) <= 0:
        return False
    stretch = np.linalg.svd(linear, compute_uv=False)
    return bool(stretch[0] < _STRETCH * stretch[1])
