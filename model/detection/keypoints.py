"""Keypoints of an image and their descriptors: SIFT (Lowe, IJCV 2004) as RootSIFT (Arandjelovic and Zisserman, CVPR 2012)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LENGTH = 128
"""Length of a SIFT descriptor."""
CELL = 40
"""Side of the cells among which keypoints are spread, in pixels."""
_CONTRAST, _EDGE = 0.02, 12
_DECIMALS = 3


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of one image.

    Attributes:
        positions: (K, 2) float32, x and y in pixels.
        scales: (K,) float32, diameter in pixels.
        angles: (K,) float32, in radians.
        descriptors: (K, 128) float32, L2-normalised.
    """

    positions: Floats
    scales: Floats
    angles: Floats
    descriptors: Floats

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, rows: NDArray[np.bool_] | slice) -> "Keypoints":
        """Some of the keypoints."""
        return Keypoints(self.positions[rows], self.scales[rows], self.angles[rows], self.descriptors[rows])


def extract_keypoints(grey: NDArray[np.uint8], limit: int, mask: NDArray[np.bool_] | None = None, *, spread: bool) -> Keypoints:
    """The strongest keypoints of a grey image (H, W) uint8.

    Args:
        grey: The image.
        limit: Maximum keypoints.
        mask: (H, W), where keypoints may lie; None for everywhere.
        spread: Whether every cell of 40 pixels gives its strongest keypoint before any gives its second.
    """
    sift = cv2.SIFT.create(contrastThreshold=_CONTRAST, edgeThreshold=_EDGE)
    allowed = None if mask is None else mask.astype(np.uint8)
    found = list(sift.detect(grey, allowed)) if min(grey.shape) > 1 else []
    if not found:
        return Keypoints(*(np.empty(shape, np.float32) for shape in ((0, 2), 0, 0, (0, LENGTH))))
    points = np.array([(*point.pt, point.response) for point in found], np.float64).round(_DECIMALS + 6)
    rank = _rank_in_cell(points) if spread else np.zeros(len(points))
    order = np.lexsort((points[:, 0], points[:, 1], -points[:, 2], rank))[:limit]
    kept, vectors = sift.compute(grey, [found[row] for row in order])
    columns = np.array([(*point.pt, point.size, point.angle) for point in kept], np.float32).reshape(-1, 4)
    return Keypoints(columns[:, :2], columns[:, 2], np.deg2rad(columns[:, 3]), root(np.asarray(vectors, np.float32)))


def root(vectors: Floats) -> Floats:
    """SIFT vectors (K, 128) as RootSIFT: their Euclidean distance is the Hellinger distance of the histograms."""
    sums = np.maximum(vectors.sum(axis=1, keepdims=True), 1e-12)
    return np.sqrt(vectors / sums)


def _rank_in_cell(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each point (x, y, strength) among those of its cell, 0 for the strongest."""
    columns, rows = (points[:, :2] // CELL).astype(np.int64).T
    cell = rows * 100_000 + columns
    order = np.lexsort((-points[:, 2], cell))
    sorted_cells = cell[order]
    first = np.flatnonzero(np.r_[True, sorted_cells[1:] != sorted_cells[:-1]])
    starts = np.repeat(first, np.diff(np.r_[first, len(cell)]))
    rank = np.empty(len(cell), np.int64)
    rank[order] = np.arange(len(cell)) - starts
    return rank


@dataclass(frozen=True)
class Axes:
    """A projection of descriptors to fewer dimensions.

    Attributes:
        mean: (128,) float32.
        directions: (128, D) float32, orthonormal columns.
    """

    mean: Floats
    directions: Floats

    def project(self, descriptors: Floats) -> Floats:
        """Descriptors (K, 128) -> (K, D) float32, contiguous."""
        return np.ascontiguousarray((descriptors - self.mean) @ self.directions, dtype=np.float32)


def fit_axes(descriptors: Floats, dimensions: int) -> Axes:
    """The principal axes of descriptors (K, 128)."""
    mean = descriptors.mean(axis=0, dtype=np.float64) if len(descriptors) else np.zeros(LENGTH)
    centred = descriptors.astype(np.float64) - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return Axes(mean.astype(np.float32), np.ascontiguousarray(vectors[:, ::-1][:, :dimensions], dtype=np.float32))
