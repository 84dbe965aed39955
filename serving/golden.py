"""The golden queries of a release, replayed at an endpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from model.errors import GlocalError
from model.release import EXEMPLARS, Release
from model.retrieval.geometric_verification import ENOUGH, MIN_INLIERS, WEIGHT, ranking_score
from model.schemas.golden import GoldenQuery, Neighbour
from serving.client import Client
from serving.operations.thresholds import Accepted

SCORE_TOLERANCE = 2e-3
"""Largest difference of a score from the golden one: processors round differently."""
INLIER_TOLERANCE = MIN_INLIERS
"""Largest difference of a number of inliers from the golden one: a single match may lift it from 0 to the least number."""


def replay_golden(release: Release, client: Client, name: str, version: str | None = None) -> int:
    """Ask a version the release's golden queries, by every operation that the release offers; returns their number.

    The embedding of a golden image is stored with the release, and `identify` and `verify` follow from it: the scores must be its
    scores, and what is accepted must be what the release's thresholds say. `detect` must answer; it is asked
    once, as no boxes are stored to compare its answer with.

    Args:
        release: The release that must answer.
        client: A client of the endpoint.
        name: Name of the served model.
        version: The version to ask; default: the one that serves.

    Raises:
        GlocalError: The version answers with another release, with other neighbours (but for ties) or with other scores.
    """
    for golden, other in zip(release.golden, [*release.golden[1:], *release.golden[:1]], strict=True):
        for operation, is_right in _checks(release, client, golden, other, name, version or ""):
            if not is_right:
                asked = f"{name} {version}" if version else f"{name} at {client.address}"
                raise GlocalError(
                    f"{asked} does not answer golden query {golden.file} ({operation}) as release {release.id} must.",
                    "See glocal serve status." if version is None else "It is not put to use; run the pipeline again.",
                )
    return len(release.golden)


def _checks(
    release: Release, client: Client, golden: GoldenQuery, other: GoldenQuery, model: str, version: str
) -> Iterator[tuple[str, bool]]:
    """Ask one golden query by one operation after the other; yields its name, and whether the answer is right."""
    image = release.golden_image(golden)
    found = client.search(image, max(1, len(golden.neighbours)), model=model, version=version)
    yield "search", found.release == release.id and same_neighbours(found.neighbours, golden.neighbours)
    if golden.embedding:
        embedded = client.embed(image, model=model, version=version)
        yield "embed", embedded.release == release.id and _close(_cosine(embedded.embedding, golden.embedding), 1)
        if release.calibration.identify and len(release.gallery):
            scores, _ = release.gallery.search(np.array([golden.embedding], np.float32), 1)
            best = float(scores[0, 0])
            rate = float(next(iter(release.calibration.identify)))
            identified = client.identify(image, false_accept_rate=rate, model=model, version=version)
            yield "identify", identified.release == release.id and _accepts(identified.known, identified, best)
        if release.calibration.verify and other.embedding:
            rate = float(next(iter(release.calibration.verify)))
            verified = client.verify(image, release.golden_image(other), false_accept_rate=rate, model=model, version=version)
            score = _cosine(golden.embedding, other.embedding)
            yield "verify", verified.release == release.id and _accepts(verified.same, verified, score)
    if EXEMPLARS in release.manifest.files and golden is release.golden[0]:
        yield "detect", client.detect(image, model=model, version=version).release == release.id


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.dot(one, other)) if len(one) == len(other) else -1.0


def _close(score: float | None, expected: float) -> bool:
    return score is not None and abs(score - expected) <= SCORE_TOLERANCE


def _accepts(accepted: bool, answer: Accepted, expected: float) -> bool:
    """Whether a score is the expected one, and accepted if it is above the threshold by more than rounding."""
    is_near = abs(expected - answer.threshold) <= SCORE_TOLERANCE
    return _close(answer.score, expected) and (is_near or accepted == (expected > answer.threshold))


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
