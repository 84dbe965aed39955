"""Boxes (x0, y0, x1, y1) in pixels, as rows of arrays."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """The area of each box (N, 4); 0 for a box that is turned inside out."""
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def overlaps(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of each box (N, 4) with each of the others (M, 4): (N, M). Two empty boxes have 0."""
    least = np.maximum(one[:, None, :2], other[None, :, :2])
    most = np.minimum(one[:, None, 2:], other[None, :, 2:])
    sides = np.maximum(most - least, 0).astype(np.float64)
    common = sides[..., 0] * sides[..., 1]
    union = areas(one)[:, None] + areas(other)[None, :] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def clipped(boxes: NDArray[np.floating], width: int, height: int) -> Floats:
    """Boxes (N, 4) cut at the border of an image."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def bounds(points: NDArray[np.floating]) -> Floats:
    """The upright box around each polygon: (N, P, 2) -> (N, 4)."""
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(np.float32)


def weighted_median(values: NDArray[np.floating], weights: NDArray[np.floating]) -> Floats:
    """The weighted median of each column of values (N, C): (C,)."""
    order = np.argsort(values, axis=0, kind="stable")
    summed = np.cumsum(weights[order], axis=0)
    middle = (summed >= summed[-1] / 2).argmax(axis=0)
    return np.take_along_axis(values, np.take_along_axis(order, middle[None], 0), 0)[0].astype(np.float32)
