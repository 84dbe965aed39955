"""Golden queries asked at an endpoint: does a version answer as its release must?"""

from collections.abc import Sequence
from typing import Any

from model.errors import GlocalError
from model.release import Release
from model.schemas.golden import Neighbour
from serving.client import query

SCORE_TOLERANCE = 2e-3
"""How far a score may lie from the golden one: other processors round otherwise."""


def replay_golden(release: Release, address: str, name: str, version: str | None = None) -> int:
    """Ask a version the release's golden queries; returns their number.

    Args:
        release: The release that must answer.
        address: Of the endpoint.
        name: Of the served model.
        version: The version to ask; default: the one that serves.

    Raises:
        GlocalError: It answers with another release, with other neighbours (but for ties) or with other scores.
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


def same_neighbours(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether scores agree rank by rank, and ids up to the order of equal scores and to which of them made the last place."""
    seen = [Neighbour.model_validate(each) for each in found]
    wanted = [Neighbour.model_validate(each) for each in expected]
    if len(seen) != len(wanted):
        return False
    near = all(abs(one.score - other.score) <= SCORE_TOLERANCE for one, other in zip(seen, wanted, strict=True))
    last = wanted[-1].score if wanted else 0.0
    scores = {each.id: each.score for each in wanted}
    return near and all(abs(each.score - scores.get(each.id, last)) <= SCORE_TOLERANCE for each in seen)
