"""The golden queries of a release, replayed at an endpoint."""

from collections.abc import Sequence
from typing import Any

from model.errors import GlocalError
from model.release import Release
from model.retrieval.geometric_verification import ENOUGH, MIN_INLIERS, WEIGHT, ranking_score
from model.schemas.golden import Neighbour
from serving.client import Client

SCORE_TOLERANCE = 2e-3
"""Largest difference of a score from the golden one: processors round differently."""
INLIER_TOLERANCE = MIN_INLIERS
"""Largest difference of a number of inliers from the golden one: a single match may lift it from 0 to the least number."""


def replay_golden(release: Release, client: Client, name: str, version: str | None = None) -> int:
    """Ask a version the release's golden queries; returns their number.

    Args:
        release: The release that must answer.
        client: A client of the endpoint.
        name: Name of the served model.
        version: The version to ask; default: the one that serves.

    Raises:
        GlocalError: The version answers with another release, with other neighbours (but for ties) or with other scores.
    """
    for golden in release.golden:
        k = max(1, len(golden.neighbours))
        answer = client.search(release.golden_image(golden), k, model=name, version=version or "")
        if answer.release != release.id or not same_neighbours(answer.neighbours, golden.neighbours):
            asked = f"{name} {version}" if version else f"{name} at {client.address}"
            raise GlocalError(
                f"{asked} does not answer golden query {golden.file} as release {release.id} must.",
                "See glocal serve status." if version is None else "It is not put to use; run the pipeline again.",
            )
    return len(release.golden)


def same_neighbours(answered: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether two lists of neighbours are the same but for rounding.

    By rank they have the same scores, to which re-ranking adds inliers; by id the same scores and inliers. Neighbours of equal
    scores may be swapped, and of those with the score of the last rank any may be in the list.
    """
    answer = [Neighbour.model_validate(neighbour) for neighbour in answered]
    golden = [Neighbour.model_validate(neighbour) for neighbour in expected]
    if len(answer) != len(golden):
        return False
    known = {neighbour.id: neighbour for neighbour in golden}
    return all(_same_rank(*pair) for pair in zip(answer, golden, strict=True)) and all(
        _same(one, known[one.id]) if one.id in known else _same_rank(one, golden[-1]) for one in answer
    )


def _same(one: Neighbour, other: Neighbour) -> bool:
    inliers = abs((one.inliers or 0) - (other.inliers or 0)) <= INLIER_TOLERANCE
    return inliers and abs(one.score - other.score) <= SCORE_TOLERANCE


def _same_rank(one: Neighbour, other: Neighbour) -> bool:
    """Whether two neighbours are equal in what they are sorted by, and both are re-ranked or neither is."""
    if one.inliers is None or other.inliers is None:
        return one.inliers == other.inliers and abs(one.score - other.score) <= SCORE_TOLERANCE
    tolerance = SCORE_TOLERANCE + WEIGHT * INLIER_TOLERANCE / ENOUGH
    return bool(abs(ranking_score(one.score, one.inliers) - ranking_score(other.score, other.inliers)) <= tolerance)
