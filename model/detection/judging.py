"""Judging a detector on scenes whose boxes are known: which of its candidates are right."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.data.manifest import Box
from model.detection.boxes import overlaps
from model.detection.calibration import FOLDS, Judged
from model.detection.detector import Detector, Proposals

RIGHT = 0.5
"""Intersection over union with a true box of its label from which on a candidate is right."""


class Scene(NamedTuple):
    """A scene whose boxes are known: id of its image, what loads it (3, H, W) uint8, and label and box of each object."""

    id: str
    load: Callable[[], Tensor]
    truth: Sequence[tuple[str, Box]]


def judge(proposals: Proposals, classes: Sequence[str], truth: Sequence[tuple[str, Box]]) -> Judged:
    """Which candidates are right."""
    names = np.array([classes[each.label] for each in proposals.candidates], dtype=str)
    return Judged(proposals.features, proposals.places, _right(names, proposals.boxes, truth), len(truth))


def judge_scenes(detector: Detector, scenes: Sequence[Scene]) -> list[Judged]:
    """Propose and judge scenes; see `held_out`."""
    return [
        judge(other.propose(scene.load()), other.exemplars.classes, scene.truth) for scene, other in held_out(detector, scenes)
    ]


def held_out(detector: Detector, scenes: Sequence[Scene]) -> Iterator[tuple[Scene, Detector]]:
    """Scenes, each with a detector in which nothing is enrolled that was cut from a scene of its fold.

    A scene for which nothing is enrolled then is left out.
    """
    for fold in range(FOLDS):
        mine = scenes[fold::FOLDS]
        other = detector.without([scene.id for scene in mine])
        if other is not None:
            yield from ((scene, other) for scene in mine)


def _right(names: NDArray[np.str_], boxes: NDArray[np.float32], truth: Sequence[tuple[str, Box]]) -> NDArray[np.bool_]:
    if not len(names) or not truth:
        return np.zeros(len(names), bool)
    labels = np.array([label for label, _ in truth], dtype=str)
    overlap = overlaps(boxes, np.array([box for _, box in truth], np.float64))
    return ((overlap >= RIGHT) & (names[:, None] == labels[None, :])).any(axis=1)
