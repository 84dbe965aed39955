"""Enrolling objects: exemplars from images and boxes. Nothing is trained."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.spread import evenly
from model.detection.cutouts import (
    Cutout,
    Sample,
    background_of,
    background_within,
    cut_out,
    keypoints_within,
    outlines_of,
)
from model.detection.exemplars import DIMENSIONS, FRAME, KEYPOINTS, Exemplars
from model.detection.keypoints import LENGTH, Axes, Keypoints, fit_axes
from model.detection.masks import Pixels, Points
from model.detection.references import Describer, References
from model.detection.squares import Pyramid
from model.errors import InvalidInput

Floats = NDArray[np.float32]

PER_LABEL = 40
"""Maximum exemplars of one label."""
TOTAL = 1200
"""Maximum exemplars of all labels together."""
SCENE = 1280
"""Longest side of an image in which the background is looked at, in pixels."""
BACKGROUND = 10_000
"""Maximum background descriptors."""
_PER_IMAGE = 400


@dataclass(frozen=True)
class _View:
    """One exemplar before its descriptors are projected. Keypoints are in the exemplar's units."""

    label: str
    id: str
    size: float
    outline: Floats
    keypoints: Keypoints
    square: Pixels


def enrol_objects(
    samples: Iterable[Sample],
    describer: Describer,
    *,
    per_label: int = PER_LABEL,
    total: int = TOTAL,
    beside: Exemplars | None = None,
) -> Exemplars:
    """Make exemplars of samples, in their order.

    The number of exemplars is bounded, so that a release of thousands of images stays small: at most `per_label` of a label and
    `total` of all, the first ones that come. One takes about 60 KB. Spread the order of the samples where there are more.

    Args:
        samples: The objects. An image with several objects comes once for each of them, one after the other.
        describer: The stored network.
        per_label: Maximum exemplars of one label.
        total: Maximum exemplars of all labels together.
        beside: Exemplars that the new ones will be joined to: they count towards both maxima, and their projection is used.

    Raises:
        InvalidInput: There are no samples, no sample has a keypoint, or there is no room for any.
    """
    taken: Counter[str] = Counter([beside.classes[label] for label in beside.labels] if beside else [])
    total -= len(beside) if beside else 0
    cutouts: list[Cutout] = []
    background: dict[str, Floats] = {}
    for source, group in groupby(samples, key=lambda sample: source_of(sample.id)):
        of_image = list(group)
        before = len(cutouts)
        for sample in of_image:
            if taken[sample.label] < per_label and len(cutouts) < total:
                taken[sample.label] += 1
                cutouts.append(cut_out(sample))
        boxes = [sample.box for sample in of_image if sample.box]
        if boxes and len(cutouts) > before:
            background[source] = background_of(of_image[0].image, boxes, _PER_IMAGE, SCENE)
    outlines = outlines_of(cutouts)
    for cutout, hull in zip(cutouts, outlines, strict=True):
        if cutout.box is None:
            background[source_of(cutout.id)] = background_within(cutout, hull, _PER_IMAGE)
    views = [_view(*each, describer) for each in zip(cutouts, outlines, strict=True)]
    views = [view for view in views if len(view.keypoints)]
    if not views:
        full = "" if cutouts or total > 0 else f" {TOTAL} exemplars are there already, the maximum of a release."
        headline = full.strip() or "No object can be enrolled: no image has a keypoint."
        raise InvalidInput(headline, "Remove objects first." if full else "Use images with texture on the objects.")
    return _joined(views, background, describer, beside.axes if beside else None)


def source_of(sample_id: str) -> str:
    """The image of a sample's id: the id without the box behind it."""
    return sample_id.rsplit("#", 1)[0]


def _view(cutout: Cutout, hull: Points, describer: Describer) -> _View:
    middle, size = _middle_and_size(hull)
    found = keypoints_within(cutout, hull, KEYPOINTS)
    units = ((hull - middle) / size).astype(np.float32)
    least, most = units.min(axis=0), units.max(axis=0)
    frame = np.concatenate([least - FRAME * (most - least), most + FRAME * (most - least)])
    transform = np.array([[size, 0, middle[0]], [0, size, middle[1]]], np.float32)
    square = Pyramid(cutout.pixels).square(transform, units, frame, describer.side, describer.fill)
    scaled = Keypoints((found.positions - middle) / size, found.scales / size, found.angles, found.descriptors)
    return _View(cutout.label, cutout.id, size, units, scaled, square)


def _middle_and_size(hull: Floats) -> tuple[Floats, float]:
    """The middle of an outline, and the root of its area, in pixels."""
    moments = cv2.moments(hull)
    area = moments["m00"]
    if area < 1:
        return hull.mean(axis=0), 1.0
    return np.array([moments["m10"] / area, moments["m01"] / area], np.float32), float(np.sqrt(area))


def _joined(views: list[_View], around: Mapping[str, Floats], describer: Describer, axes: Axes | None) -> Exemplars:
    classes = tuple(sorted({view.label for view in views}))
    ids = [view.id for view in views]
    keypoints = [view.keypoints for view in views]
    descriptors = np.concatenate([each.descriptors for each in keypoints])
    axes = axes or fit_axes(descriptors, DIMENSIONS)
    background, sources = _spread(around)
    return Exemplars(
        classes=classes,
        labels=np.array([classes.index(view.label) for view in views], np.int64),
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


def _spread(around: Mapping[str, Floats]) -> tuple[Floats, NDArray[np.str_]]:
    """Background descriptors spread over all images, and the image of each."""
    found = np.concatenate([np.empty((0, LENGTH), np.float32), *around.values()])
    sources = np.repeat(np.array(list(around), dtype=str), [len(each) for each in around.values()])
    rows = evenly(len(found), BACKGROUND)
    return found[rows], sources[rows].astype(str)
