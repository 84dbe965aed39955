"""Squares: objects cut out of images by an affine map, with everything outside their outline in one colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from model.detection.exemplars import frame_to_units, framed

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_HALVINGS = 3


class Pyramid:
    """An image (H, W, 3) uint8 and its halvings, so that a square of a large object has no aliasing."""

    def __init__(self, image: Pixels) -> None:
        self.levels = [image]
        while len(self.levels) < _HALVINGS and min(self.levels[-1].shape[:2]) > 32:
            self.levels.append(np.asarray(cv2.pyrDown(self.levels[-1]), np.uint8))

    def square(self, transform: Floats, outline: Floats, frame: Floats, side: int, fill: NDArray[np.uint8]) -> Pixels:
        """Cut one square out.

        Args:
            transform: (2, 3) affine map from an exemplar's units to pixels of the image.
            outline: (P, 2) outline in the exemplar's units.
            frame: (4,) x0, y0, x1, y1 of the square in the exemplar's units.
            side: Side of the square in pixels.
            fill: (3,) uint8, colour outside the outline.

        Returns:
            (side, side, 3) uint8.
        """
        whole = _composed(transform, frame_to_units(frame, side))
        step = float(np.sqrt(abs(np.linalg.det(whole[:, :2]))))
        level = min(max(0, int(np.floor(np.log2(max(step, 1e-6) / 1.2)))), len(self.levels) - 1)
        shrunk = whole / 2**level
        shrunk[:, 2] += 0.5 / 2**level - 0.5  # pixel 0 has its middle at 0.5 here, at 0 in OpenCV
        if level == 0:
            shrunk[:, 2] = whole[:, 2]
        size, flags = (side, side), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        square = cv2.warpAffine(self.levels[level], shrunk, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        square[~framed(outline, frame, side)] = fill
        return np.asarray(square, np.uint8)


def _composed(outer: Floats, inner: Floats) -> Floats:
    """The affine map (2, 3) that applies `inner`, then `outer`."""
    linear = outer[:, :2] @ inner[:, :2]
    shift = outer[:, :2] @ inner[:, 2] + outer[:, 2]
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)
