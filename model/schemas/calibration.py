"""The calibration of a release: thresholds of similarity at stated false-accept rates."""

from pydantic import Field

from model.schemas.schema import Schema


class VerifyThreshold(Schema):
    """The threshold above which two images count as images of the same thing."""

    threshold: float = Field(description="Cosine similarity above which a pair is accepted")
    true_accept_rate: float = Field(ge=0, le=1, description="Share of the held-out pairs of one class that are accepted")


class IdentifyThreshold(Schema):
    """The threshold above which the best match in the gallery counts as right."""

    threshold: float = Field(description="Cosine similarity that an object outside the gallery reaches at the stated rate")


class Calibration(Schema):
    """Thresholds by false-accept rate, such as `0.01`; empty if there were fewer than two held-out classes."""

    verify: dict[str, VerifyThreshold] = Field(default_factory=dict, description="Thresholds for pairs, by rate")
    identify: dict[str, IdentifyThreshold] = Field(default_factory=dict, description="Thresholds for the best match, by rate")
    pairs: int = Field(0, ge=0, description="Number of held-out pairs of two classes that the thresholds are computed from")
