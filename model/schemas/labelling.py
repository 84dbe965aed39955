"""How a detector decides labels and scores: coefficients, and what they were seen to be worth on validation scenes."""

from pydantic import Field

from model.schemas.schema import Schema


class ScorePoint(Schema):
    """What detections above a score were worth on validation scenes."""

    score: float = Field(ge=0, le=1, description="Least score of the detections that are counted")
    detections: int = Field(ge=0, description="Number of detections of at least that score")
    precision: float = Field(ge=0, le=1, description="Share of them whose label and box were right")
    precision_interval: tuple[float, float] = Field(description="95 % interval of the precision (Wilson)")
    recall: float = Field(ge=0, le=1, description="Share of the true boxes that they found")


class ScoreCalibration(Schema):
    """Validation scenes that scores were calibrated on, by networks and exemplars that did not come from them."""

    scenes: int = Field(ge=1, description="Number of validation scenes")
    boxes: int = Field(ge=1, description="Number of true boxes in them")
    points: tuple[ScorePoint, ...] = Field(description="Precision and recall at several scores, lowest score first")


class Labelling(Schema):
    """Coefficients by feature; see `model.detection.labelling` for what each feature is."""

    choice: dict[str, float] = Field(description="Coefficients of the choice among the labels of one place")
    score: dict[str, float] = Field(description="Coefficients of the log odds that the chosen label and its box are right")
    bias: float = Field(0.0, description="Constant of these log odds")
    calibration: ScoreCalibration | None = Field(
        None, description="What scores were seen to be worth; null: the scores are not calibrated on data like this"
    )

    @property
    def features(self) -> frozenset[str]:
        """The features that are read."""
        return frozenset(self.choice) | frozenset(self.score)
