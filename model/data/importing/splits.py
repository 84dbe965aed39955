"""Which class stands on which side of the split. Splitting is by class: what is tested was never trained on."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.data.importing.findings import Findings
from model.data.manifest import SPLITS
from model.errors import InvalidInput

TRAIN, VAL, TEST, SCENE, DISTRACTOR = range(len(SPLITS))
UNSET = -1


def zero_shot(classes: Sequence[str], validation_fraction: float) -> dict[str, str]:
    """The side of each class: sorted by name, the first half (rounded up) trains and validates, the second half tests.

    Of the first half, `validation_fraction` validate, spread evenly over the sorted names, so that the classes that validate
    are not all neighbours: at least one class where there are two, and two where there are four, as images of one class
    alone find nothing wrong.
    """
    if not 0 <= validation_fraction < 1:
        raise InvalidInput(f"validation_fraction is {validation_fraction}.", "Give a number from 0 up to, not including, 1.")
    names = sorted(classes)
    half = math.ceil(len(names) / 2)
    count = 0
    if half >= 2 and validation_fraction > 0:
        count = min(half - 1, max(1 if half < 4 else 2, round(half * validation_fraction)))
    validates = {int((number + 0.5) * half / count) for number in range(count)}
    sides = {name: "val" if place in validates else "train" for place, name in enumerate(names[:half])}
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
        labels: (N,) indices into `classes`, of the samples that are kept: classes without any take no part.
        given: (N,) what the source says: an index into `SPLITS`, or `UNSET`.
        classes: The class names.
        findings: Where a class on two sides is named.
        mode: Both follow what is given. For classes that are given no side, `zero-shot` chooses one and `manifest`
            names the gap as a defect.
        validation_fraction: See `zero_shot`.
    """
    scene = given == SCENE
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
    """Set `sides` from what is given, and name the classes that are given two."""
    for side in (TRAIN, VAL, TEST, DISTRACTOR):
        for label in np.unique(labels[given == side]):
            if sides[label] == UNSET:
                sides[label] = side
            else:
                text = f"is both in {SPLITS[sides[label]]} and in {SPLITS[side]}; a class may stand on one side only"
                findings.defect("class on both sides", classes[int(label)], text)
