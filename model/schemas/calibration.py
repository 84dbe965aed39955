"""The calibration of a release: thresholds of similarity at stated false-accept rates."""

from typing import Annotated

from pydantic import Field

from model.schemas.schema import Schema

_INTERVAL = "95 % interval, over held-out classes, of the share accepted though wrong; absent in releases of earlier code"

Interval = Annotated[tuple[float, float], Field(min_length=2, max_length=2)]


class VerifyThreshold(Schema):
    """The threshold above which two images count as images of the same thing."""

    threshold: float = Field(description="Cosine similarity above which a pair is accepted")
    true_accept_rate: float = Field(ge=0, le=1, description="Share of the held-out pairs of one class that are accepted")
    rate_interval: Interval | None = Field(None, description=_INTERVAL)


class IdentifyThreshold(Schema):
    """The threshold above which the best match in the gallery counts as right."""

    threshold: float = Field(description="Cosine similarity that an object outside the gallery reaches at the stated rate")
    rate_interval: Interval | None = Field(None, description=_INTERVAL)


class Calibration(Schema):
    """Thresholds by false-accept rate, such as `0.01`; empty if there were fewer than two held-out classes."""

    verify: dict[str, VerifyThreshold] = Field(default_factory=dict, description="Thresholds for pairs, by rate")
    identify: dict[str, IdentifyThreshold] = Field(default_factory=dict, description="Thresholds for the best match, by rate")
    pairs: int = Field(0, ge=0, description="Number of held-out pairs of two classes that the thresholds are computed from")
