"""The calibration of a release: thresholds of similarity at stated false-accept rates."""

from typing import Annotated

from pydantic import Field

from model.schemas.schema import Schema

_INTERVAL = "95 % interval, over held-out classes, of the share accepted though wrong; absent in releases of earlier code"

Interval = Annotated[tuple[float, float], Field(min_length=2, max_length=2)]


class VerifyThreshold(Schema):
    """The threshold above which two images count as images of the same thing."""

    threshold: float = Field(
        description="Cosine similarity above which a pair is accepted; if `normalised`, less the offsets of both images"
    )
    true_accept_rate: float = Field(ge=0, le=1, description="Share of the held-out pairs of one class that are accepted")
    rate_interval: Interval | None = Field(None, description=_INTERVAL)


class IdentifyThreshold(Schema):
    """The threshold above which the best match in the gallery counts as right."""

    threshold: float = Field(description="Cosine similarity that an object outside the gallery reaches at the stated rate")
    rate_interval: Interval | None = Field(None, description=_INTERVAL)


BINS = 20
"""Number of bins of a histogram of similarities or margins, all of one width from 0 to 1; what is below 0 is in the first."""
_DIGITS = 6
"""Digits of a similarity that count: an answer has no more, and float32 has few more."""


def bin_of(value: float) -> int:
    """The bin of a similarity or a margin. A value on the edge of two bins is in the upper one."""
    return min(BINS - 1, max(0, int(round(value, _DIGITS) * BINS)))


class Reference(Schema):
    """What answers to held-out images are like, to compare later answers with.

    Each image queries the others of its fold, whose network has not seen its class.
    """

    queries: int = Field(ge=0, description="Number of images")
    best_score: Annotated[tuple[int, ...], Field(min_length=BINS, max_length=BINS)] = Field(
        description="Histogram of the similarity of the best match"
    )
    margin: Annotated[tuple[int, ...], Field(min_length=BINS, max_length=BINS)] = Field(
        description="Histogram of that similarity less that of the best match in another class"
    )
    unknown: float = Field(ge=0, le=1, description="Share of images that are not identified at a false-accept rate of 0.01")


class Calibration(Schema):
    """Thresholds by false-accept rate, such as `0.01`; empty if there were fewer than two held-out classes."""

    verify: dict[str, VerifyThreshold] = Field(default_factory=dict, description="Thresholds for pairs, by rate")
    identify: dict[str, IdentifyThreshold] = Field(default_factory=dict, description="Thresholds for the best match, by rate")
    reference: Reference | None = Field(None, description="Answers to held-out images; absent in releases of earlier code")
    pairs: int = Field(0, ge=0, description="Number of held-out pairs of two classes that the thresholds are computed from")
    normalised: bool = Field(
        False, description="Whether pairs are compared less offsets, of the release's cohort; false in releases of earlier code"
    )
