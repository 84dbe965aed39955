"""Verify: whether two images show the same thing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from model.schemas.golden import Places
from serving.operations.operation import Answer, Operation, SeenImage
from serving.operations.thresholds import Accepted, RateOptions, said_of, threshold_at

if TYPE_CHECKING:
    from model.release import Release


class VerifyOptions(RateOptions):
    """Options of `verify`."""

    matches: bool = Field(False, description="Say where the two images match by local features, if the release has them")


class VerifyAnswer(Answer, Accepted):
    """Whether two images show the same thing."""

    same: bool = Field(description="Whether the similarity is above the threshold")
    score: float = Field(description="Cosine similarity of the two images")
    threshold: float = Field(
        description="Cosine similarity above which these two images count as the same: the more they resemble classes that the "
        "network was trained on, the higher"
    )
    matches: Places | None = Field(
        None,
        description="Where up to 64 local matches that one affine map fits lie, most similar first: x and y in the first image, "
        "x and y in the second, as shares of width and height; absent unless asked for, and if the release does not re-rank",
    )


class Verify(Operation[VerifyOptions]):
    """Whether two images show the same thing."""

    name = "verify"
    images = 2
    options = VerifyOptions
    answer = VerifyAnswer

    def localises(self, options: VerifyOptions) -> bool:
        """See `Operation.localises`."""
        return options.matches

    def respond(self, release: "Release", images: Sequence[SeenImage], options: VerifyOptions) -> dict[str, Any]:
        """See `Operation.respond`."""
        stated = threshold_at(release, release.calibration.verify, options.false_accept_rate)
        one, other = (image.vector for image in images)
        score, threshold = 0.0, stated.threshold
        if one is not None and other is not None:
            score = float(one @ other)
            if release.cohort:
                threshold += float(release.cohort.offsets(np.stack([one, other])).sum())
        return {
            **said_of(stated, options.false_accept_rate),
            "same": score > threshold,
            "score": round(score, 6),
            "threshold": threshold,
            **_matches(release, images),
        }


def _matches(release: "Release", images: Sequence[SeenImage]) -> dict[str, Any]:
    """The field `matches`, if the images' local features were wanted and the release has them."""
    one, other = (image.features for image in images)
    if release.reranker is None or one is None or other is None:
        return {}
    return {"matches": release.reranker.places(one, other)}
