"""The outline of an object in an image: the convex hull of what GrabCut separates from the background.

Rother, Kolmogorov and Blake, GrabCut, SIGGRAPH 2004. Without an outline, keypoints of the background would vote as well.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Box

Pixels = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""
Points = NDArray[np.float32]

SIDE = 120
"""Longest side of the image that GrabCut sees, in pixels."""
ROUNDS = 2
"""Rounds of GrabCut where there is a box. Of a whole image, one round was as good as four."""
CORNERS = 16
"""Maximum corners of an outline."""
MARGIN = 0.25
"""Background around a box that GrabCut sees, as a share of the box's sides."""


def outline_in_box(image: Pixels, box: Box) -> Points:
    """The convex outline of the object in a box of an image (H, W, 3) uint8 RGB; that of the box if none is plausible.

    Outside the box is background, its middle is the object, the rest is decided.

    Returns:
        (CORNERS, 2) float32 in pixels of the image; the last corner may be repeated.
    """
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    left, top = max(0, round(x0 - MARGIN * wide)), max(0, round(y0 - MARGIN * high))
    part = image[top : round(y1 + MARGIN * high), left : round(x1 + MARGIN * wide)]
    small, scale = _reduced(part)
    bx0, by0, bx1, by1 = ((value - offset) * scale for value, offset in zip(box, (left, top, left, top), strict=True))
    marks = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    _fill(marks, (bx0, by0, bx1, by1), cv2.GC_PR_FGD)
    mx, my, rx, ry = (bx0 + bx1) / 2, (by0 + by1) / 2, 0.12 * (bx1 - bx0), 0.12 * (by1 - by0)
    _fill(marks, (mx - rx, my - ry, mx + rx, my + ry), cv2.GC_FGD)
    hull = _hull(small, marks, ROUNDS)
    if hull is None:
        return rectangle(box)
    extent = np.ptp(hull, axis=0)
    whole = np.array([bx1 - bx0, by1 - by0])
    if cv2.contourArea(hull) < 0.35 * whole.prod() or (extent < 0.85 * whole).any():
        return rectangle(box)
    return padded(hull / scale + np.array([left, top], np.float32))


def outline_of_whole(image: Pixels) -> Points | None:
    """The convex outline (P, 2) of the one object that an image (H, W, 3) uint8 RGB shows; None if none is plausible.

    The border is background, the middle is the object, the rest is decided.
    """
    small, scale = _reduced(image)
    height, width = small.shape[:2]
    marks = np.full((height, width), cv2.GC_BGD, np.uint8)
    for inset, mark in ((0.03, cv2.GC_PR_BGD), (0.14, cv2.GC_PR_FGD), (0.42, cv2.GC_FGD)):
        _fill(marks, (inset * width, inset * height, (1 - inset) * width, (1 - inset) * height), mark)
    hull = _hull(small, marks, 1)
    if hull is None or not 0.12 <= cv2.contourArea(hull) / (width * height) <= 0.95:
        return None
    return hull / np.float32(scale)


def middle(image: Pixels) -> Points:
    """The outline of an image's middle, (CORNERS, 2) float32 in pixels."""
    high, wide = image.shape[:2]
    return rectangle((0.1 * wide, 0.1 * high, 0.9 * wide, 0.9 * high))


def inside(points: Points, width: int, height: int) -> NDArray[np.bool_]:
    """Whether each pixel is within a convex outline: (height, width) bool."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.round(points).astype(np.int32), 1)
    return mask.astype(bool)


def rectangle(box: Box) -> Points:
    """The outline of a box."""
    x0, y0, x1, y1 = box
    return padded(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32))


def _reduced(image: Pixels) -> tuple[Pixels, float]:
    """The image with its longest side reduced to `SIDE`, and the factor."""
    scale = min(1.0, SIDE / max(image.shape[:2]))
    if scale == 1:
        return np.ascontiguousarray(image), scale
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _fill(marks: Pixels, box: Box, value: int) -> None:
    x0, y0, x1, y1 = (max(0, round(each)) for each in box)
    marks[y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)] = value


def _hull(image: Pixels, marks: Pixels, rounds: int) -> Points | None:
    """The convex hull of the largest part that GrabCut finds; None if it finds none."""
    models = np.zeros((1, 65), np.float64), np.zeros((1, 65), np.float64)
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(image, marks, (0, 0, 0, 0), *models, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few pixels on one side to fit its colours to
        return None
    found = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    contours, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    hull = cv2.convexHull(max(contours, key=cv2.contourArea))
    return hull[:, 0].astype(np.float32) + 0.5 if len(hull) >= 3 else None


def padded(points: Points) -> Points:
    """An outline with exactly `CORNERS` corners."""
    tolerance = 0.002 * float(np.ptp(points, axis=0).max())
    while len(points) > CORNERS:
        points = np.asarray(cv2.approxPolyDP(points[:, None], tolerance, True)[:, 0], np.float32)
        tolerance *= 1.5
    return np.concatenate([points, np.repeat(points[-1:], CORNERS - len(points), axis=0)]).astype(np.float32)
