"""Exemplars: the enrolled views of objects, as keypoints, geometry and references, in a few arrays.

Geometry is stated in the exemplar's own units: from the middle of its outline, in multiples of its size, which is the root of the
outline's area. A transform of an exemplar into a scene has the object's middle as its shift and the object's size as its scale.
"""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.spread import evenly
from model.detection.keypoints import Axes
from model.detection.references import GRID, References
from model.errors import InvalidInput

Floats = NDArray[np.float32]

DIMENSIONS = 64
"""Length of a stored descriptor."""
KEYPOINTS = 250
"""Maximum keypoints of an exemplar."""
FRAME = 0.04
"""Margin of the frame around an outline, as a share of its sides."""


@dataclass(frozen=True)
class Exemplars:
    """N exemplars.

    Attributes:
        classes: Names of the labels.
        labels: (N,) int64, indices into `classes`.
        ids: (N,) str, id of the sample that each was cut from.
        sources: (N,) str, image that each was cut from.
        sizes: (N,) float32, root of the outline's area in pixels.
        outlines: (N, P, 2) float32, in the exemplar's units.
        offsets: (N + 1,) int64; the keypoints of exemplar n are those from offsets[n] to offsets[n + 1].
        positions: (K, 2) float32, in the exemplar's units.
        scales: (K,) float32, in the exemplar's units.
        angles: (K,) float32, in radians.
        descriptors: (K, D) float16.
        axes: The projection that gave the descriptors.
        background: (B, D) float16, descriptors of what is no object.
        background_sources: (B,) str, the image that each came from.
        references: What the network says of them.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]
    sources: NDArray[np.str_]
    sizes: Floats
    outlines: Floats
    offsets: NDArray[np.int64]
    positions: Floats
    scales: Floats
    angles: Floats
    descriptors: NDArray[np.float16]
    axes: Axes
    background: NDArray[np.float16]
    background_sources: NDArray[np.str_]
    references: References

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(N,) number of keypoints of each exemplar."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int64]:
        """(K,) exemplar of each keypoint."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def frames(self) -> Floats:
        """(N, 4) x0, y0, x1, y1 of each frame, in the exemplar's units: the box of the outline with a margin."""
        least, most = self.outlines.min(axis=1), self.outlines.max(axis=1)
        margin = FRAME * (most - least)
        return np.concatenate([least - margin, most + margin], axis=1).astype(np.float32)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, GRID, GRID), whether each cell of the frame is within the outline."""
        return np.stack([framed(outline, frame, GRID) for outline, frame in zip(self.outlines, self.frames, strict=True)])

    def without(self, sources: NDArray[np.str_]) -> "Exemplars":
        """The exemplars and the background of all images but some."""
        return self.select(~np.isin(self.sources, sources), ~np.isin(self.background_sources, sources))

    def select(self, exemplars: NDArray[np.bool_], background: NDArray[np.bool_]) -> "Exemplars":
        """Some exemplars, as a mask (N,), and some of the background, as a mask (B,). The classes stay."""
        rows = np.flatnonzero(exemplars)
        kept = np.isin(self.owners, rows)
        offsets = np.concatenate([[0], np.cumsum(self.counts[rows])])
        heads = {name: vectors[rows] for name, vectors in self.references.heads.items()}
        places = None if self.references.places is None else self.references.places[rows]
        cut = {name: getattr(self, name)[rows] for name in ("labels", "ids", "sources", "sizes", "outlines")}
        cut |= {name: getattr(self, name)[kept] for name in ("positions", "scales", "angles", "descriptors")}
        cut |= {name: getattr(self, name)[background] for name in ("background", "background_sources")}
        return replace(self, **cut, offsets=offsets, references=References(heads, places, self.references.lightness[rows]))


def join(one: Exemplars, other: Exemplars, background: int) -> Exemplars:
    """The exemplars of both; of their background descriptors at most `background`, spread over both.

    Raises:
        InvalidInput: Their descriptors are not of one projection.
    """
    if not np.array_equal(one.axes.directions, other.axes.directions) or not np.array_equal(one.axes.mean, other.axes.mean):
        raise InvalidInput("Exemplars whose descriptors have two projections cannot be joined.", "Enrol all of them again.")
    classes = tuple(sorted({*one.classes, *other.classes}))
    labels = [classes.index(each.classes[label]) for each in (one, other) for label in each.labels]
    columns = ("ids", "sources", "sizes", "outlines", "positions", "scales", "angles", "descriptors")
    both = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in columns}
    around = np.concatenate([one.background, other.background])
    rows = evenly(len(around), background)
    heads = {name: np.concatenate([vectors, other.references.heads[name]]) for name, vectors in one.references.heads.items()}
    places = [each.references.places for each in (one, other) if each.references.places is not None]
    light = np.concatenate([one.references.lightness, other.references.lightness])
    return Exemplars(
        classes=classes,
        labels=np.array(labels, np.int64),
        offsets=np.concatenate([one.offsets, one.offsets[-1] + other.offsets[1:]]),
        axes=one.axes,
        background=around[rows],
        background_sources=np.concatenate([one.background_sources, other.background_sources])[rows],
        references=References(heads, np.concatenate(places) if places else None, light),
        **both,
    )


def framed(outline: Floats, frame: Floats, side: int) -> NDArray[np.bool_]:
    """Whether each cell of a frame, cut into side x side cells, is within an outline."""
    scale = side / np.maximum(frame[2:] - frame[:2], 1e-6)
    corners = np.round((outline - frame[:2]) * scale * 16 - 8).astype(np.int32)
    mask = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(mask, corners, 1, shift=4)
    return mask.astype(bool)


def frame_to_units(frame: Floats, side: int) -> Floats:
    """The affine map (2, 3) from pixels of a square of `side` to the exemplar's units. Pixel 0 has its middle at 0.5."""
    step = (frame[2:] - frame[:2]) / side
    return np.array([[step[0], 0, frame[0] + step[0] / 2], [0, step[1], frame[1] + step[1] / 2]], np.float32)


COLUMNS = tuple(field.name for field in fields(Exemplars))
