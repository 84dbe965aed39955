"""Verify: whether two images show the same thing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from serving.operations.operation import Answer, Operation, SeenImage
from serving.operations.thresholds import Accepted, RateOptions, said_of, threshold_at

if TYPE_CHECKING:
    from model.release import Release


class VerifyAnswer(Answer, Accepted):
    """Whether two images show the same thing."""

    same: bool = Field(description="Whether the similarity is above the threshold")
    score: float = Field(description="Cosine similarity of the two images")


class Verify(Operation[RateOptions]):
    """Whether two images show the same thing."""

    name = "verify"
    images = 2
    options = RateOptions
    answer = VerifyAnswer

    def respond(self, release: "Release", images: Sequence[SeenImage], options: RateOptions) -> dict[str, Any]:
        """See `Operation.respond`."""
        threshold = threshold_at(release, release.calibration.verify, options.false_accept_rate)
        one, other = (image.vector for image in images)
        score = float(one @ other) if one is not None and other is not None else 0.0
        return {
            "same": score > threshold.threshold,
            "score": round(score, 6),
            **said_of(threshold, options.false_accept_rate),
        }
