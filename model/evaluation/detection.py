"""The evaluation of a release's detector, on scenes that calibrated none of its scores."""

from typing import NamedTuple

from model.data.manifest import Manifest
from model.detection.detector import Detection, Detector
from model.detection.judging import Scene, held_out
from model.detection.of_manifest import evaluation_scenes
from model.evaluation.average_precision import PairedScenes, SceneBoxes, detection_figures
from model.progress import Progress
from model.schemas.detection_figures import DetectionFigures


class DetectedScene(NamedTuple):
    """A scene, and what was detected in it."""

    scene: Scene
    detections: list[Detection]


def detect_scenes(detector: Detector, manifest: Manifest, progress: Progress | None = None) -> list[DetectedScene]:
    """Detect in the scenes that are kept for it, with nothing enrolled that was cut from the same image."""
    scenes, found = evaluation_scenes(manifest), list[DetectedScene]()
    for scene, other in held_out(detector, scenes):
        found.append(DetectedScene(scene, other.detect(scene.load())))
        if progress:
            progress(len(found), len(scenes), "scenes searched for objects")
    return sorted(found, key=lambda one: one.scene.id)


def figures_of_scenes(found: list[DetectedScene], *, samples: int = 1000) -> DetectionFigures | None:
    """The figures of detections; None if there are no scenes."""
    if not found:
        return None
    return detection_figures([_found(one.detections) for one in found], [_truth(one.scene) for one in found], samples=samples)


def paired_scenes(candidate: list[DetectedScene], champion: list[DetectedScene]) -> PairedScenes:
    """What two detectors found in the scenes of either; where one knows nothing to look for, it has found nothing."""
    scenes = {one.scene.id: one.scene for one in [*candidate, *champion]}
    sides = [{one.scene.id: one.detections for one in side} for side in (candidate, champion)]
    one, other = ([_found(side.get(name, [])) for name in sorted(scenes)] for side in sides)
    return PairedScenes(one, other, [_truth(scenes[name]) for name in sorted(scenes)])


def _found(detections: list[Detection]) -> SceneBoxes:
    return SceneBoxes.of([(each.label, each.box, each.score) for each in detections])


def _truth(scene: Scene) -> SceneBoxes:
    return SceneBoxes.of([(label, box, 1.0) for label, box in scene.truth])
