"""Objects cut out of the images that enrol them: the outline of each, and the keypoints within it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.data.manifest import Box
from model.detection.keypoints import LENGTH, Keypoints, extract_keypoints
from model.detection.masks import Pixels, Points, inside, middle, outline_in_box, outline_of_whole, padded
from model.detection.views import common_outlines, joined

Floats = NDArray[np.float32]

LONGEST = 320
"""Longest side of an object in pixels; a larger one is enrolled from a reduced image."""
AROUND = 0.3
"""Surroundings of a box that are looked at, as a share of its sides."""
WHOLE = 1000
"""Maximum keypoints of a whole image, of which the object's are a part."""
_THREADS = 4


class Sample(NamedTuple):
    """An object to enrol: an image (3, H, W) uint8 RGB, the object's box in pixels or None for the whole, its label and id."""

    image: Tensor
    box: Box | None
    label: str
    id: str


@dataclass(frozen=True)
class Cutout:
    """The part of an image that shows an object.

    Attributes:
        label: Label of the object.
        id: Id of its sample.
        pixels: (H, W, 3) uint8 RGB.
        box: Box of the object in the part; None if the image shows it alone.
        keypoints: Keypoints of the whole part; None if there is a box, as only those of the object are then needed.
    """

    label: str
    id: str
    pixels: Pixels
    box: Box | None
    keypoints: Keypoints | None


def cut_out(sample: Sample) -> Cutout:
    """The surroundings of a sample's box, or its whole image, reduced if the object is longer than `LONGEST`."""
    image = np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy())
    height, width = image.shape[:2]
    x0, y0, x1, y1 = sample.box or (0.0, 0.0, float(width), float(height))
    across, down = AROUND * (x1 - x0), AROUND * (y1 - y0)
    left, top = max(0, int(x0 - across)), max(0, int(y0 - down))
    part = image[top : max(top + 1, round(y1 + down)), left : max(left + 1, round(x1 + across))]
    scale = min(1.0, LONGEST / max(x1 - x0, y1 - y0, 1.0))
    part = reduced(part, scale)
    if sample.box is None:
        return Cutout(sample.label, sample.id, part, None, extract_keypoints(grey(part), WHOLE, spread=False))
    box = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
    return Cutout(sample.label, sample.id, part, box, None)


def outlines_of(cutouts: Sequence[Cutout]) -> list[Points]:
    """The outline of each object, (CORNERS, 2) in pixels of its cutout.

    Of whole images it is what GrabCut finds, if it is plausible, together with what the images of a label have in common.
    """
    shared: dict[int, Points | None] = {}
    for label in sorted({each.label for each in cutouts}):
        rows = [row for row, each in enumerate(cutouts) if each.label == label and each.keypoints is not None]
        views = [keypoints for row in rows if (keypoints := cutouts[row].keypoints) is not None]
        shared |= dict(zip(rows, common_outlines(views, [max(cutouts[row].pixels.shape[:2]) for row in rows]), strict=True))
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(_outline, cutouts, [shared.get(row) for row in range(len(cutouts))]))


def _outline(cutout: Cutout, shared: Points | None) -> Points:
    if cutout.box is not None:
        return outline_in_box(cutout.pixels, cutout.box)
    hulls = [hull for hull in (outline_of_whole(cutout.pixels), shared) if hull is not None]
    return padded(joined(*hulls)) if hulls else middle(cutout.pixels)


def keypoints_within(cutout: Cutout, hull: Points, limit: int) -> Keypoints:
    """The strongest keypoints within an outline."""
    height, width = cutout.pixels.shape[:2]
    mask = inside(hull, width, height)
    known = cutout.keypoints
    if known is None:
        return extract_keypoints(grey(cutout.pixels), limit, mask, spread=False)
    return known.select(_at(known, mask)).select(slice(limit))


def background_within(cutout: Cutout, hull: Points, limit: int) -> Floats:
    """The descriptors (B, 128) of the strongest keypoints of a whole image beside its object's outline."""
    height, width = cutout.pixels.shape[:2]
    known = cutout.keypoints
    if known is None:
        return np.empty((0, LENGTH), np.float32)
    near = cv2.dilate(inside(hull, width, height).astype(np.uint8), np.ones((9, 9), np.uint8))
    return known.select(~_at(known, np.asarray(near, bool))).descriptors[:limit]


def background_of(image: Tensor, boxes: Sequence[Box], limit: int, longest: int) -> Floats:
    """The descriptors (B, 128) of an image (3, H, W), reduced to `longest` pixels, beside all boxes in it."""
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    scale = min(1.0, longest / max(pixels.shape[:2]))
    pixels = reduced(pixels, scale)
    apart = np.ones(pixels.shape[:2], bool)
    for box in boxes:
        x0, y0, x1, y1 = (round(side * scale) for side in box)
        apart[max(0, y0 - 2) : max(0, y1 + 2), max(0, x0 - 2) : max(0, x1 + 2)] = False
    return extract_keypoints(grey(pixels), limit, apart, spread=True).descriptors


def grey(image: Pixels) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB in grey."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def reduced(image: Pixels, scale: float) -> Pixels:
    """An image with its sides multiplied by `scale`, at most 1."""
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _at(keypoints: Keypoints, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each keypoint lies in a mask."""
    columns, rows = np.round(keypoints.positions).astype(int).T
    height, width = mask.shape
    return mask[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
