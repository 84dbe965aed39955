"""The golden queries of a release, replayed at an endpoint."""

from collections.abc import Sequence
from typing import Any

from model.errors import GlocalError
from model.release import Release
from model.schemas.golden import Neighbour
from serving.client import query

SCORE_TOLERANCE = 2e-3
"""Largest difference of a score from the golden one: processors round differently."""


def replay_golden(release: Release, address: str, name: str, version: str | None = None) -> int:
    """Ask a version the release's golden queries; returns their number.

    Args:
        release: The release that must answer.
        address: Address of the endpoint.
        name: Name of the served model.
        version: The version to ask; default: the one that serves.

    Raises:
        GlocalError: The version answers with another release, with other neighbours (but for ties) or with other scores.
    """
    for golden in release.golden:
        answer = query(address, name, release.golden_image(golden), max(1, len(golden.neighbours)), version=version)
        if answer["release"] != release.id or not same_neighbours(answer["neighbours"], golden.neighbours):
            asked = f"{name} {version}" if version else f"{name} at {address}"
            raise GlocalError(
                f"{asked} does not answer golden query {golden.file} as release {release.id} must.",
                "See glocal serve status." if version is None else "It is not put to use; run the pipeline again.",
            )
    return len(release.golden)


def same_neighbours(answered: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether two lists of neighbours have the same scores by rank, and the same ids.

    Neighbours of equal scores may be swapped, and of those with the score of the last rank any may be in the list.
    """
    answer = [Neighbour.model_validate(neighbour) for neighbour in answered]
    golden = [Neighbour.model_validate(neighbour) for neighbour in expected]
    if len(answer) != len(golden):
        return False
    near = all(abs(one.score - other.score) <= SCORE_TOLERANCE for one, other in zip(answer, golden, strict=True))
    last = golden[-1].score if golden else 0.0
    scores = {neighbour.id: neighbour.score for neighbour in golden}
    return near and all(abs(one.score - scores.get(one.id, last)) <= SCORE_TOLERANCE for one in answer)
