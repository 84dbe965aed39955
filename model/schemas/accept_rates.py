"""How often images are accepted, rightly and wrongly, at thresholds of similarity: verification and open-set identification."""

from pydantic import Field

from model.schemas.figures import Figure
from model.schemas.schema import Schema

_THRESHOLD = "Cosine similarity above which is accepted; in verification less the offsets of both images, if there is a cohort"


class CurvePoint(Schema):
    """One point of a curve."""

    threshold: float = Field(description=_THRESHOLD)
    false_accept: float = Field(ge=0, le=1, description="Share of what should be refused that is accepted")
    true_accept: float = Field(ge=0, le=1, description="Share of what should be accepted that is accepted, and rightly named")


class AcceptRates(Schema):
    """A model's trade-off between accepting rightly and wrongly."""

    eer: Figure | None = Field(description="Equal error rate: as many are refused as accepted wrongly; None for identification")
    true_accept_at: dict[str, Figure] = Field(
        description="True-accept rate by false-accept rate, such as 0.01; rates are left out for which there are too few attempts"
    )
    curve: tuple[CurvePoint, ...] = Field(description="The trade-off, lowest false-accept rate first")


class MeasuredThreshold(Schema):
    """A threshold of calibration.json, as measured on the test classes. Its stated rate is the key that it stands under."""

    threshold: float = Field(description=_THRESHOLD)
    false_accept: Figure = Field(description="False-accept rate on the test classes")
    true_accept: Figure = Field(description="True-accept rate on the test classes")


class AcceptFigures(Schema):
    """The figures of verification, or of identification, on the test classes."""

    genuine: int = Field(ge=1, description="Number of pairs, or queries, that should be accepted")
    impostors: int = Field(ge=1, description="Number of pairs, or queries, that should be refused")
    candidate: AcceptRates = Field(description="The trained model")
    untrained: AcceptRates = Field(description="The untrained trunk")
    thresholds: dict[str, MeasuredThreshold] = Field(description="The calibrated thresholds by stated false-accept rate")

    @property
    def calibration_errors(self) -> list[float]:
        """By how much the false-accept rate on the test classes differs from each stated one."""
        return [abs(each.false_accept.value - float(rate)) for rate, each in self.thresholds.items()]
