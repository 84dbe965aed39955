"""Detect: which enrolled objects are in a scene, and where."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from model.errors import Conflict
from model.schemas.schema import Schema
from serving.operations.operation import Answer, Operation, SeenImage

if TYPE_CHECKING:
    from model.release import Release


class DetectOptions(Schema):
    """Options of `detect`."""

    min_score: float = Field(0.5, ge=0, le=1, description="Least score of the objects that are named")


class DetectedObject(Schema):
    """An object in the scene."""

    label: str = Field(description="Class of the object")
    box: tuple[float, float, float, float] = Field(description="Left, top, right and bottom of what is visible, in pixels")
    score: float = Field(ge=0, le=1, description="Probability that label and box are right")
    inliers: int = Field(ge=0, description="Keypoints of the scene that agree")
    exemplar: str = Field(description="Id of the enrolled image that it was verified against")


class DetectAnswer(Answer):
    """The enrolled objects in a scene."""

    objects: tuple[DetectedObject, ...] = Field(description="Objects, best score first")
    calibrated: bool = Field(description="Whether the scores were calibrated on scenes of the release's data")


class Detect(Operation[DetectOptions]):
    """The enrolled objects in a scene. It looks at parts of the image in passes of its own."""

    name = "detect"
    embeds = False
    options = DetectOptions
    answer = DetectAnswer

    def respond(self, release: "Release", images: Sequence[SeenImage], options: DetectOptions) -> dict[str, Any]:
        """See `Operation.respond`."""
        if release.detector is None:
            headline = f"Release {release.id} does not detect: no objects were enrolled in it."
            raise Conflict(headline, "Run the pipeline with index.detection=always, or on data with boxes.")
        (image,) = images
        found = [detection for detection in release.detector.detect(image.image) if detection.score >= options.min_score]
        return {
            "objects": [
                {
                    "label": detection.label,
                    "box": [round(side, 1) for side in detection.box],
                    "score": round(detection.score, 4),
                    "inliers": detection.inliers,
                    "exemplar": detection.exemplar,
                }
                for detection in found
            ],
            "calibrated": release.detector.labelling.calibration is not None,
        }
