"""Figures of a detector on scenes whose boxes are known."""

from pydantic import Field

from model.schemas.figures import Figure
from model.schemas.labelling import ScorePoint
from model.schemas.schema import Schema


class DetectionFigures(Schema):
    """Average precision at an intersection over union of 0.5, with intervals over whole scenes."""

    scenes: int = Field(ge=1, description="Number of scenes")
    boxes: int = Field(ge=1, description="Number of true boxes in them")
    ap50: Figure = Field(description="Mean over labels of the average precision of boxes with their labels")
    ap50_unlabelled: Figure = Field(description="Average precision of the boxes alone, whatever their labels")
    points: tuple[ScorePoint, ...] = Field(description="Precision and recall of labelled boxes at several scores, lowest first")
