"""Scenes of an evaluation as images, with what was detected in them and what was missed."""

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Box
from model.data.spread import evenly
from model.evaluation.average_precision import SceneBoxes, matched_by_label
from model.evaluation.contact_sheets import encoded
from model.evaluation.detection import DetectedScene
from model.schemas.illustrations import SceneBox, SceneImage, SheetImage

SCENES = 4
"""Scenes that are shown."""
SCORE = 0.5
"""Least score of the detections that are shown."""
_LONGEST = 520


def scene_images(found: list[DetectedScene]) -> tuple[SceneImage, ...]:
    """Scenes at equal distances, sorted by name, with detections of at least `SCORE`."""
    return tuple(_scene_image(found[row]) for row in evenly(len(found), SCENES).tolist())


def _scene_image(one: DetectedScene) -> SceneImage:
    image = one.scene.load()
    height, width = image.shape[1:]
    drawn = [each for each in one.detections if each.score >= SCORE]
    detected = SceneBoxes.of([(each.label, each.box, each.score) for each in drawn])
    truth = SceneBoxes.of([(label, box, 1.0) for label, box in one.scene.truth])
    right = matched_by_label(detected, truth)
    boxes = [
        SceneBox(box=_shares(each.box, width, height), label=each.label, kind="right" if hit else "wrong", score=each.score)
        for each, hit in zip(drawn, right, strict=True)
    ]
    missed = truth.select(_missed(detected.select(right), truth))
    boxes += [
        SceneBox(box=_shares((x0, y0, x1, y1), width, height), label=str(label), kind="missed", score=None)
        for label, (x0, y0, x1, y1) in zip(missed.labels, missed.boxes.tolist(), strict=True)
    ]
    shown = SheetImage(source=encoded(image, _LONGEST), name=one.scene.id, path=one.scene.id)
    return SceneImage(image=shown, boxes=tuple(boxes))


def _missed(right: SceneBoxes, truth: SceneBoxes) -> NDArray[np.bool_]:
    """Whether each true box has no right detection."""
    return ~matched_by_label(SceneBoxes(truth.labels, truth.boxes, np.ones(len(truth.labels))), right)


def _shares(box: Box, width: int, height: int) -> Box:
    x0, y0, x1, y1 = (round(value, 4) for value in (box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    return x0, y0, x1, y1
