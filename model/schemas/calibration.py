"""The calibration of a release: thresholds of similarity at stated false-accept rates."""

from pydantic import Field

from model.schemas.schema import Schema


class VerifyThreshold(Schema):
    """When two images are taken to show the same thing."""

    threshold: float = Field(description="Cosine similarity above which a pair is accepted")
    true_accept_rate: float = Field(ge=0, le=1, description="Share of the validation pairs of one class that are accepted")


class IdentifyThreshold(Schema):
    """When the best match in the gallery is taken to be right."""

    threshold: float = Field(description="Cosine similarity that an object outside the gallery reaches at the stated rate")


class Calibration(Schema):
    """Thresholds by false-accept rate, such as `0.01`; empty where there were fewer than two validation classes."""

    verify: dict[str, VerifyThreshold] = Field(default_factory=dict, description="For two images, by false-accept rate")
    identify: dict[str, IdentifyThreshold] = Field(default_factory=dict, description="For the best match, by false-accept rate")
    pairs: int = Field(0, ge=0, description="Number of validation pairs of two classes that the thresholds stand on")
