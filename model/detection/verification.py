"""Verification: the scene is cut out as an exemplar would see it, and compared with that exemplar by heads and by lightness."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.detection.exemplars import Exemplars
from model.detection.references import Describer
from model.detection.squares import Pixels, Pyramid

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

WINDOW = 9
"""Side of the windows of the local correlation, in cells of the grid."""
_FLAT = 20.0
"""Variance of lightness that is noise."""


@dataclass(frozen=True)
class Verified:
    """How alike C cut-outs and their exemplars are.

    Attributes:
        heads: (C,) float32 by name of head: cosine similarities.
        places: (C,) float32, mean cosine similarity place by place; None if there is no local head.
        correlation: (C, GRID, GRID) float32, local normalised correlation of the lightness.
        mask: (C, GRID, GRID) bool, what is within the outline.
    """

    heads: dict[str, Floats]
    places: Floats | None
    correlation: Floats
    mask: NDArray[np.bool_]

    @property
    def mean_correlation(self) -> Floats:
        """(C,) mean correlation within the outline."""
        area = np.maximum(self.mask.sum(axis=(1, 2)), 1)
        return ((self.correlation * self.mask).sum(axis=(1, 2)) / area).astype(np.float32)


class Verifier:
    """Exemplars as they are compared with cut-outs."""

    def __init__(self, exemplars: Exemplars, describer: Describer) -> None:
        self.exemplars = exemplars
        self.describer = describer
        self.masks, self.frames = exemplars.masks, exemplars.frames

    def verify(self, pyramid: Pyramid, rows: Rows, transforms: Floats) -> Verified:
        """Compare exemplars `rows` (C,) with a scene in which `transforms` (C, 2, 3) place them. One pass through the network."""
        describer, exemplars = self.describer, self.exemplars
        side = describer.side
        squares = np.empty((len(rows), side, side, 3), np.uint8)
        for number, (row, transform) in enumerate(zip(rows, transforms, strict=True)):
            squares[number] = pyramid.square(transform, exemplars.outlines[row], self.frames[row], side, describer.fill)
        seen, known = describer.describe(squares), exemplars.references
        heads = {name: (seen.heads[name] * known.heads[name][rows]).sum(axis=1) for name in known.heads if name in seen.heads}
        masks = self.masks[rows]
        places = None
        if seen.places is not None and known.places is not None:
            places = _by_place(seen.places, known.places[rows], masks)
        return Verified(heads, places, correlate(seen.lightness, known.lightness[rows]), masks)


def _by_place(seen: Floats, known: Floats, masks: NDArray[np.bool_]) -> Floats:
    """The mean cosine similarity of places (C, R, R, D), each by the share of it that is within the outline."""
    rows, columns = seen.shape[1:3]
    shares = np.stack([cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA) for mask in masks])
    cosines = (seen * known).sum(axis=3)
    return ((cosines * shares).sum(axis=(1, 2)) / np.maximum(shares.sum(axis=(1, 2)), 1e-6)).astype(np.float32)


def correlate(one: Pixels, other: Pixels) -> Floats:
    """The normalised correlation of two stacks of lightness (C, G, G) uint8 in a window round each cell, -1 to 1."""
    found = np.empty(one.shape, np.float32)
    for number, (a, b) in enumerate(zip(one.astype(np.float32), other.astype(np.float32), strict=True)):
        mean_a, mean_b, mean_aa, mean_bb, mean_ab = (_mean(each) for each in (a, b, a * a, b * b, a * b))
        spread = np.sqrt((mean_aa - mean_a**2 + _FLAT) * (mean_bb - mean_b**2 + _FLAT))
        found[number] = (mean_ab - mean_a * mean_b) / spread
    return found


def _mean(values: Floats) -> Floats:
    return np.asarray(cv2.blur(values, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT), np.float32)
