"""AP50 of detections: the average precision at an intersection over union of 0.5.

As in PASCAL VOC 2010 and later (Everingham et al., IJCV 2015): detections of all scenes, best score first; each true box is found
once, by the best-scored detection that overlaps it; a second detection of it is wrong; the precision at a recall is the largest
at that recall or a higher one, and the area below that curve is taken at every point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from model.detection.boxes import overlaps
from model.detection.calibration import score_points
from model.schemas.detection_figures import DetectionFigures
from model.schemas.figures import Figure

THRESHOLD = 0.5


@dataclass(frozen=True)
class SceneBoxes:
    """The boxes of one scene: detections, or the truth.

    Attributes:
        labels: (N,) str.
        boxes: (N, 4) x0, y0, x1, y1.
        scores: (N,) float64; of the truth they are not read.
    """

    labels: NDArray[np.str_]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[tuple[str, Sequence[float], float]]) -> "SceneBoxes":
        """From rows of label, box and score."""
        labels = np.array([label for label, _, _ in rows], dtype=str)
        boxes = np.array([box for _, box, _ in rows], np.float64).reshape(-1, 4)
        return cls(labels, boxes, np.array([score for _, _, score in rows], np.float64))

    def select(self, rows: NDArray[np.bool_]) -> "SceneBoxes":
        """Some of the boxes."""
        return SceneBoxes(self.labels[rows], self.boxes[rows], self.scores[rows])


def matched(found: SceneBoxes, truth: SceneBoxes, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Whether each detection of one scene, whatever its label, is right: (N,). Ties of scores go by row.

    A detection is compared with the true box that it overlaps most, whether or not that was found before.
    """
    right = np.zeros(len(found.scores), bool)
    if not len(truth.boxes) or not len(found.boxes):
        return right
    overlap = overlaps(found.boxes, truth.boxes)
    taken = np.zeros(len(truth.boxes), bool)
    for row in np.argsort(-found.scores, kind="stable"):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= threshold and not taken[best]:
            right[row] = taken[best] = True
    return right


def matched_by_label(found: SceneBoxes, truth: SceneBoxes, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Whether each detection of one scene is right, compared with the true boxes of its own label alone: (N,)."""
    right = np.zeros(len(found.scores), bool)
    for label in np.unique(found.labels):
        mine = found.labels == label
        right[mine] = matched(found.select(mine), truth.select(truth.labels == label), threshold)
    return right


def average_precision(scores: NDArray[np.float64], right: NDArray[np.bool_], truths: int) -> float:
    """The area below the precision-recall curve at all points.

    Wrong detections come first among those of equal scores, so that a detector that scores all alike gains nothing by order.

    Args:
        scores: (N,) scores of the detections.
        right: (N,) whether each is right.
        truths: Number of true boxes; NaN is returned for 0.
    """
    if truths == 0:
        return float("nan")
    hits = right[np.lexsort((right, -scores))]
    summed = np.cumsum(hits)
    precision = summed / np.arange(1, len(hits) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(highest[hits].sum() / truths)


def ap50(found: Sequence[SceneBoxes], truth: Sequence[SceneBoxes]) -> float:
    """The mean over labels of the average precision of each label; labels without a true box are left out."""
    right = [matched_by_label(*pair) for pair in zip(found, truth, strict=True)]
    return _mean_over_labels(found, truth, right)


def ap50_unlabelled(found: Sequence[SceneBoxes], truth: Sequence[SceneBoxes]) -> float:
    """The average precision of the boxes alone, whatever their labels."""
    right = [matched(*pair) for pair in zip(found, truth, strict=True)]
    return _joined_precision(found, truth, right)


def detection_figures(
    found: Sequence[SceneBoxes], truth: Sequence[SceneBoxes], *, samples: int = 1000, seed: int = 0
) -> DetectionFigures:
    """The figures of detections, with 95 % intervals from `samples` draws of whole scenes.

    Args:
        found: Detections of each scene, one scene at least.
        truth: True boxes of each scene, one box at least.
        samples: Number of draws.
        seed: Seed of the draws.
    """
    named = [matched_by_label(*pair) for pair in zip(found, truth, strict=True)]
    nameless = [matched(*pair) for pair in zip(found, truth, strict=True)]
    figures = (_mean_over_labels, named), (_joined_precision, nameless)
    random = np.random.default_rng(seed)
    draws: list[list[float]] = [[], []]
    for _ in range(samples):
        rows = random.integers(len(found), size=len(found))
        some = [found[row] for row in rows], [truth[row] for row in rows]
        for values, (figure, right) in zip(draws, figures, strict=True):
            values.append(figure(*some, [right[row] for row in rows]))
    bounds = [np.nanquantile(values, [0.025, 0.975]).tolist() for values in draws]
    ap50, unlabelled = (
        Figure(value=figure(found, truth, right), lower=lower, upper=upper)
        for (figure, right), (lower, upper) in zip(figures, bounds, strict=True)
    )
    truths = sum(len(each.boxes) for each in truth)
    return DetectionFigures(
        scenes=len(truth),
        boxes=truths,
        ap50=ap50,
        ap50_unlabelled=unlabelled,
        points=score_points(np.concatenate([each.scores for each in found]), np.concatenate(named), truths),
    )


class PairedScenes(NamedTuple):
    """What two detectors found in the same scenes, and the truth."""

    candidate: Sequence[SceneBoxes]
    champion: Sequence[SceneBoxes]
    truth: Sequence[SceneBoxes]


class Ap50Change(NamedTuple):
    """AP50 of a candidate less that of the champion, and the value that it exceeds with a stated confidence."""

    mean: float
    lower: float


def ap50_change(scenes: PairedScenes, *, level: float, samples: int = 1000, seed: int = 0) -> Ap50Change:
    """The change in AP50 with its bound at confidence 1 - `level`; whole scenes are the units.

    As in `model.evaluation.one_sided`, the bound is the lower of the bootstrap's and that of Student's t with the jackknife's
    error. For a single scene it is minus infinity.
    """
    count, truth = len(scenes.truth), scenes.truth
    sides = [
        (found, [matched_by_label(*pair) for pair in zip(found, truth, strict=True)])
        for found in (scenes.candidate, scenes.champion)
    ]

    def change(rows: list[int]) -> float:
        some = [truth[row] for row in rows]
        one, other = (
            _mean_over_labels([found[row] for row in rows], some, [right[row] for row in rows]) for found, right in sides
        )
        return one - other

    everything = list(range(count))
    mean = change(everything)
    if count < 2:
        return Ap50Change(mean, -math.inf)
    random = np.random.default_rng(seed)
    draws = [change(random.integers(count, size=count).tolist()) for _ in range(samples)]
    left_out = np.array([change(everything[:row] + everything[row + 1 :]) for row in everything])
    error = math.sqrt((count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2)))
    return Ap50Change(mean, float(min(np.quantile(draws, level), mean - stdtrit(count - 1, 1 - level) * error)))


def _joined_precision(found: Sequence[SceneBoxes], truth: Sequence[SceneBoxes], right: Sequence[NDArray[np.bool_]]) -> float:
    scores = np.concatenate([each.scores for each in found])
    return average_precision(scores, np.concatenate(right), sum(len(each.boxes) for each in truth))


def _mean_over_labels(found: Sequence[SceneBoxes], truth: Sequence[SceneBoxes], right: Sequence[NDArray[np.bool_]]) -> float:
    labels, of_truth = (np.concatenate([each.labels for each in side]) for side in (found, truth))
    scores, hits = np.concatenate([each.scores for each in found]), np.concatenate(right)
    names, counts = np.unique(of_truth, return_counts=True)
    if not len(names):
        return float("nan")
    each = [
        average_precision(scores[labels == name], hits[labels == name], int(count))
        for name, count in zip(names, counts, strict=True)
    ]
    return float(np.mean(each))
