"""The threshold of a release for a stated false-accept rate."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from model.errors import Conflict, InvalidInput
from model.schemas.schema import Schema

if TYPE_CHECKING:
    from model.release import Release

DEFAULT_RATE = 0.01
Threshold = TypeVar("Threshold")


class RateOptions(Schema):
    """Options of the operations that accept or refuse."""

    false_accept_rate: float = Field(
        DEFAULT_RATE, gt=0, lt=1, description="Share of wrong acceptances that is tolerated; one of those of the release"
    )


class Accepted(Schema):
    """What an operation that accepts or refuses says about its threshold."""

    score: float | None = Field(description="Cosine similarity")
    threshold: float = Field(description="Cosine similarity above which is accepted")
    false_accept_rate: float = Field(description="Share of wrong acceptances among held-out images at this threshold")
    false_accept_interval: tuple[float, float] | None = Field(
        None, description="95 % interval of that share over held-out classes; absent in releases of earlier code"
    )


def threshold_at(release: "Release", thresholds: Mapping[str, Threshold], rate: float) -> Threshold:
    """The threshold that a release has for a rate.

    Raises:
        Conflict: The release has no thresholds.
        InvalidInput: The release has none for this rate.
    """
    if not thresholds:
        headline = f"Release {release.id} has no thresholds: its data had fewer than two held-out classes."
        raise Conflict(headline, "Ask for a search, or train on at least seven classes.")
    by_rate = {float(name): threshold for name, threshold in thresholds.items()}
    if rate not in by_rate:
        known = ", ".join(f"{each:g}" for each in sorted(by_rate))
        raise InvalidInput(f"The release has no threshold for a false-accept rate of {rate:g}.", f"It has some for {known}.")
    return by_rate[rate]


def said_of(threshold: Any, rate: float) -> dict[str, Any]:
    """The fields of `Accepted` that a threshold fills."""
    said: dict[str, Any] = {"threshold": threshold.threshold, "false_accept_rate": rate}
    return said if threshold.rate_interval is None else {**said, "false_accept_interval": threshold.rate_interval}
