"""The split of a data set into sides. Splitting is by class, so that no test class is trained on."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.data.importing.findings import Findings
from model.data.manifest import SPLITS
from model.errors import InvalidInput

TRAIN, VAL, TEST, SCENE, DISTRACTOR = range(len(SPLITS))
"""Indices into `SPLITS`."""
UNSET = -1
"""Side of a sample whose side is not chosen yet."""


def zero_shot(classes: Sequence[str], validation_fraction: float) -> dict[str, str]:
    """The side of each class: sorted by name, the first half (rounded up) trains and validates, the second half tests.

    The share `validation_fraction` of the first half validates: at least one class where the half has two, and at least two
    where it has four, because images of a single class find nothing wrong. The validation classes are spread evenly over the
    sorted names.
    """
    if not 0 <= validation_fraction < 1:
        raise InvalidInput(f"validation_fraction is {validation_fraction}.", "Give a number from 0 up to, not including, 1.")
    names = sorted(classes)
    half = math.ceil(len(names) / 2)
    count = 0
    if half >= 2 and validation_fraction > 0:
        count = min(half - 1, max(1 if half < 4 else 2, round(half * validation_fraction)))
    validates = {int((number + 0.5) * half / count) for number in range(count)}
    sides = {name: "val" if number in validates else "train" for number, name in enumerate(names[:half])}
    return sides | dict.fromkeys(names[half:], "test")


def assign(
    labels: NDArray[np.int64],
    given: NDArray[np.int8],
    classes: Sequence[str],
    findings: Findings,
    *,
    mode: str = "zero-shot",
    validation_fraction: float = 0.2,
) -> NDArray[np.int8]:
    """The side of every sample, as an index into `SPLITS`.

    Args:
        labels: (N,) indices into `classes`, for the samples that are kept. Classes without a sample take no part.
        given: (N,) side that the source gives: an index into `SPLITS`, or `UNSET`.
        classes: The class names.
        findings: Receives a defect for each class on two sides.
        mode: `gallery` makes distractors of all but scenes. The other modes follow the given sides. For a class without a side,
            `zero-shot` chooses one and `manifest` adds a defect.
        validation_fraction: Share of the classes that validate; see `zero_shot`.
    """
    scene = given == SCENE
    if mode == "gallery":
        return np.where(scene, np.int8(SCENE), np.int8(DISTRACTOR))
    sides = np.full(len(classes), UNSET, dtype=np.int8)
    _follow(labels, given, classes, sides, findings)
    present = np.zeros(len(classes), dtype=bool)
    present[labels[~scene]] = True
    open_classes = [classes[int(label)] for label in np.flatnonzero(present & (sides == UNSET))]
    if mode == "manifest":
        for name in open_classes:
            findings.defect("no split", name, "the split column is empty for this class")
    else:
        chosen = zero_shot(open_classes, validation_fraction)
        for label in np.flatnonzero(present & (sides == UNSET)):
            sides[label] = SPLITS.index(chosen[classes[int(label)]])
    return np.where(scene, np.int8(SCENE), sides[labels])


def _follow(
    labels: NDArray[np.int64], given: NDArray[np.int8], classes: Sequence[str], sides: NDArray[np.int8], findings: Findings
) -> None:
    """Set `sides` to the given sides, and add a defect for each class that has two."""
    for side in (TRAIN, VAL, TEST, DISTRACTOR):
        for label in np.unique(labels[given == side]):
            if sides[label] == UNSET:
                sides[label] = side
            else:
                text = f"is both in {SPLITS[sides[label]]} and in {SPLITS[side]}; a class may stand on one side only"
                findings.defect("class on both sides", classes[int(label)], text)
