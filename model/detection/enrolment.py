"""Enrolling objects: exemplars from images and boxes. Nothing is trained."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.data.images import Box
from model.detection.exemplars import DIMENSIONS, FRAME, KEYPOINTS, Exemplars
from model.detection.keypoints import Keypoints, extract_keypoints, fit_axes
from model.detection.masks import Pixels, inside, outline, rectangle
from model.detection.references import Describer, References
from model.detection.squares import Pyramid
from model.errors import InvalidInput

Floats = NDArray[np.float32]

PER_LABEL = 40
"""Maximum exemplars of one label."""
TOTAL = 1200
"""Maximum exemplars of all labels together."""
LONGEST = 320
"""Longest side of an object in pixels; a larger one is enrolled from a reduced image."""
AROUND = 0.3
"""Surroundings of a box that are looked at, as a share of its sides."""
SCENE = 1280
"""Longest side of an image in which the background is looked at, in pixels."""
BACKGROUND = 10_000
"""Maximum background descriptors."""
_PER_IMAGE = 400


class Sample(NamedTuple):
    """An object to enrol: an image (3, H, W) uint8 RGB, the object's box in pixels or None for the whole, its label and id."""

    image: Tensor
    box: Box | None
    label: str
    id: str


@dataclass(frozen=True)
class _View:
    """One exemplar before its descriptors are projected. Keypoints are in the exemplar's units."""

    sample: tuple[str, str]
    hull: Floats
    size: float
    outline: Floats
    keypoints: Keypoints
    square: Pixels


def enrol(samples: Iterable[Sample], describer: Describer, *, per_label: int = PER_LABEL, total: int = TOTAL) -> Exemplars:
    """Make exemplars of samples, in their order.

    The number of exemplars is bounded, so that a release of thousands of images stays small: at most `per_label` of a label and
    `total` of all, the first ones that come. One takes about 60 KB. Spread the order of the samples where there are more.

    Args:
        samples: The objects. An image may come several times, with a box for each of its objects.
        describer: The stored network.
        per_label: Maximum exemplars of one label.
        total: Maximum exemplars of all labels together.

    Raises:
        InvalidInput: There are no samples, or no sample has a keypoint.
    """
    taken: Counter[str] = Counter()
    views: list[_View] = []
    background: dict[str, Floats] = {}
    for source, group in groupby(samples, key=lambda sample: source_of(sample.id)):
        of_image = list(group)
        wanted = [sample for sample in of_image if taken[sample.label] < per_label and len(views) < total]
        found = [_view(sample, describer) for sample in wanted]
        views += [view for view in found if len(view.keypoints)]
        taken.update(view.sample[0] for view in found if len(view.keypoints))
        if wanted:
            hulls = [found[0].hull] if of_image[0].box is None else [rectangle(each.box) for each in of_image if each.box]
            background[source] = _background_of(of_image[0].image, hulls)
    if not views:
        raise InvalidInput("No object can be enrolled: no image has a keypoint.", "Use images with texture on the objects.")
    return _joined(views, background, describer)


def source_of(sample_id: str) -> str:
    """The image of a sample's id: the id without the box behind it."""
    return sample_id.rsplit("#", 1)[0]


def _view(sample: Sample, describer: Describer) -> _View:
    image, box, corner, scale = _cut(np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy()), sample.box)
    hull = outline(image, box)
    middle, size = _middle_and_size(hull)
    height, width = image.shape[:2]
    found = extract_keypoints(_grey(image), KEYPOINTS, inside(hull, width, height), spread=False)
    units = ((hull - middle) / size).astype(np.float32)
    least, most = units.min(axis=0), units.max(axis=0)
    frame = np.concatenate([least - FRAME * (most - least), most + FRAME * (most - least)])
    transform = np.array([[size, 0, middle[0]], [0, size, middle[1]]], np.float32)
    square = Pyramid(image).square(transform, units, frame, describer.side, describer.fill)
    scaled = Keypoints((found.positions - middle) / size, found.scales / size, found.angles, found.descriptors)
    return _View((sample.label, sample.id), hull / scale + corner, size, units, scaled, square)


def _grey(image: Pixels) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def _cut(image: Pixels, box: Box | None) -> tuple[Pixels, Box | None, Floats, float]:
    """The surroundings of a box, reduced if the object is longer than `LONGEST`.

    Returns:
        The part of the image; the box in it; its corner in the image; and the factor by which it is reduced.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box or (0.0, 0.0, float(width), float(height))
    across, down = AROUND * (x1 - x0), AROUND * (y1 - y0)
    left, top = max(0, int(x0 - across)), max(0, int(y0 - down))
    part = image[top : max(top + 1, round(y1 + down)), left : max(left + 1, round(x1 + across))]
    scale = min(1.0, LONGEST / max(x1 - x0, y1 - y0, 1.0))
    if scale < 1:
        size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    moved = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
    return np.ascontiguousarray(part), moved if box else None, np.array([left, top], np.float32), scale


def _middle_and_size(hull: Floats) -> tuple[Floats, float]:
    """The middle of an outline, and the root of its area, in pixels."""
    moments = cv2.moments(hull)
    area = moments["m00"]
    if area < 1:
        return hull.mean(axis=0), 1.0
    return np.array([moments["m10"] / area, moments["m01"] / area], np.float32), float(np.sqrt(area))


def _joined(views: list[_View], around: Mapping[str, Floats], describer: Describer) -> Exemplars:
    names = [view.sample[0] for view in views]
    classes = tuple(sorted(set(names)))
    ids = [view.sample[1] for view in views]
    keypoints = [view.keypoints for view in views]
    descriptors = np.concatenate([each.descriptors for each in keypoints])
    axes = fit_axes(descriptors, DIMENSIONS)
    background, sources = _spread(around)
    return Exemplars(
        classes=classes,
        labels=np.array([classes.index(name) for name in names], np.int64),
        ids=np.array(ids, dtype=str),
        sources=np.array([source_of(each) for each in ids], dtype=str),
        sizes=np.array([view.size for view in views], np.float32),
        outlines=np.stack([view.outline for view in views]),
        offsets=np.cumsum([0, *(len(each) for each in keypoints)], dtype=np.int64),
        positions=np.concatenate([each.positions for each in keypoints]),
        scales=np.concatenate([each.scales for each in keypoints]),
        angles=np.concatenate([each.angles for each in keypoints]),
        descriptors=axes.project(descriptors).astype(np.float16),
        axes=axes,
        background=axes.project(background).astype(np.float16),
        background_sources=sources,
        references=_halved(describer.describe(np.stack([view.square for view in views]))),
    )


def _halved(found: References) -> References:
    """References as they are stored, in half precision."""
    heads = {name: vectors.astype(np.float16).astype(np.float32) for name, vectors in found.heads.items()}
    places = None if found.places is None else found.places.astype(np.float16).astype(np.float32)
    return References(heads, places, found.lightness)


def _background_of(image: Tensor, hulls: list[Floats]) -> Floats:
    """Descriptors (B, 128) of what is beside all the objects of one image (3, H, W), whose outlines are given in its pixels."""
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    scale = min(1.0, SCENE / max(pixels.shape[:2]))
    if scale < 1:
        size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = pixels.shape[:2]
    apart = np.ones((height, width), bool)
    for hull in hulls:
        apart &= ~inside(hull * np.float32(scale), width, height)
    apart = np.asarray(cv2.erode(apart.astype(np.uint8), np.ones((5, 5), np.uint8)), bool)
    return extract_keypoints(_grey(pixels), _PER_IMAGE, apart, spread=True).descriptors


def _spread(around: Mapping[str, Floats]) -> tuple[Floats, NDArray[np.str_]]:
    """Background descriptors spread over all images, and the image of each."""
    found = np.concatenate(list(around.values()))
    sources = np.repeat(list(around), [len(each) for each in around.values()])
    rows = np.unique(np.linspace(0, max(0, len(found) - 1), BACKGROUND).astype(int)) if len(found) else np.empty(0, int)
    return found[rows], sources[rows].astype(str)
