"""Identify: the class of the thing in an image, or that it is none of the gallery's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from serving.operations.operation import Answer, Operation, SeenImage
from serving.operations.thresholds import Accepted, RateOptions, said_of, threshold_at

if TYPE_CHECKING:
    from model.release import Release
    from model.retrieval.gallery import Gallery
    from model.retrieval.retriever import Wanted

UNKNOWN = "unknown"
_NEAREST = 100
"""Neighbours among which the runner-up is looked for."""


class IdentifyAnswer(Answer, Accepted):
    """The class of the thing in an image, or that it is none of the gallery's."""

    known: bool = Field(description="Whether the best match is above the threshold")
    label: str = Field(description="Class of the best match, or 'unknown'; `known` tells a class of that name from none")
    best: str | None = Field(description="Class of the best match, accepted or not; null for an empty gallery")
    runner_up: str | None = Field(description="The next class among the 100 nearest images")
    margin: float | None = Field(description="Similarity of the best match less that of the runner-up")


class Identify(Operation[RateOptions]):
    """The class of the thing in an image, or that it is none of the gallery's."""

    name = "identify"
    options = RateOptions
    answer = IdentifyAnswer

    def wanted(self, gallery: "Gallery", options: RateOptions) -> "Wanted":
        """See `Operation.wanted`. Thresholds hold for the embedding's similarity, so nothing is sorted again."""
        from model.retrieval.retriever import Wanted

        return Wanted(_NEAREST, rerank=False)

    def respond(self, release: "Release", images: Sequence[SeenImage], options: RateOptions) -> dict[str, Any]:
        """See `Operation.respond`."""
        threshold = threshold_at(release, release.calibration.identify, options.false_accept_rate)
        (image,) = images
        best = image.neighbours[0] if image.neighbours else None
        other = next((each for each in image.neighbours if best is not None and each.label != best.label), None)
        known = best is not None and best.score > threshold.threshold
        return {
            "known": known,
            "label": best.label if best is not None and known else UNKNOWN,
            "best": best.label if best else None,
            "score": best.score if best else None,
            "runner_up": other.label if other else None,
            "margin": round(best.score - other.score, 6) if best and other else None,
            **said_of(threshold, options.false_accept_rate),
        }
