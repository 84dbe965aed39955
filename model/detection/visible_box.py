"""The box of what is visible of an object that something covers: where the scene still looks like the exemplar."""

import cv2
import numpy as np
from numpy.typing import NDArray

from model.detection.exemplars import frame_to_units
from model.detection.references import GRID

Floats = NDArray[np.float32]

CELLS = 20
"""Rows and columns into which a box is cut."""
LEVEL = 0.3
"""Correlation from which on a cell counts as visible."""
GAIN = 1.15
"""How much better than the whole box a part must be to be taken, as a factor of the sum over its cells."""


def visible_box(box: Floats, transform: Floats, frame: Floats, correlation: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The part of a box in which the object is seen, or the box itself if no part is clearly better.

    Args:
        box: (4,) in pixels of the scene.
        transform: (2, 3) from the exemplar's units to pixels.
        frame: (4,) the exemplar's frame in its units.
        correlation: (GRID, GRID) local correlation in the frame.
        mask: (GRID, GRID) what is within the outline.

    Returns:
        (4,) float32 in pixels.
    """
    excess = np.where(mask, correlation - LEVEL, 0).astype(np.float32)
    sides = ((box[2:] - box[:2]) / CELLS).astype(np.float32)
    if (sides <= 0).any():
        return box
    cells = _on_box(excess, box[:2], sides, transform, frame)
    rows, columns, best = largest_rectangle(cells)
    whole = float(cells.sum())
    if best <= 0 or best < GAIN * whole:
        return box
    x0, y0 = box[:2]
    corners = [x0 + columns[0] * sides[0], y0 + rows[0] * sides[1], x0 + columns[1] * sides[0], y0 + rows[1] * sides[1]]
    return np.array(corners, np.float32)


def _on_box(excess: Floats, corner: Floats, sides: Floats, transform: Floats, frame: Floats) -> Floats:
    """A map of the frame (GRID, GRID), resampled on the cells of a box (CELLS, CELLS)."""
    whole = np.vstack([frame_to_units(frame, GRID), [0, 0, 1]])
    to_pixels = transform @ whole  # from cells of the frame to pixels of the scene
    from_pixels = cv2.invertAffineTransform(to_pixels.astype(np.float64))
    step = np.array([[sides[0], 0, corner[0] + sides[0] / 2], [0, sides[1], corner[1] + sides[1] / 2], [0, 0, 1]])
    return np.asarray(
        cv2.warpAffine(excess, from_pixels @ step, (CELLS, CELLS), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float32
    )


def largest_rectangle(cells: Floats) -> tuple[tuple[int, int], tuple[int, int], float]:
    """The rectangle of the largest sum (Bentley, 1984): its first row and the one after its last, so its columns, and the sum."""
    high, wide = cells.shape
    summed = np.zeros((high + 1, wide + 1))
    summed[1:, 1:] = cells.cumsum(axis=0).cumsum(axis=1)
    tops, bottoms = np.triu_indices(high + 1, 1)
    lefts, rights = np.triu_indices(wide + 1, 1)
    strips = summed[bottoms] - summed[tops]  # (row pairs, wide + 1)
    sums = strips[:, rights] - strips[:, lefts]
    strip, span = np.unravel_index(int(sums.argmax()), sums.shape)
    return (int(tops[strip]), int(bottoms[strip])), (int(lefts[span]), int(rights[span])), float(sums[strip, span])
