"""Golden answers compared."""

import pytest

from serving.golden import same_neighbours


def neighbours(*pairs):
    return [{"id": name, "label": name, "score": score} for name, score in pairs]


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (neighbours(("a", 0.9), ("b", 0.5), ("c", 0.4)), True),
        (neighbours(("a", 0.9015), ("b", 0.499), ("c", 0.4)), True),
        (neighbours(("a", 0.903), ("b", 0.5), ("c", 0.4)), False),  # another score
        (neighbours(("b", 0.9), ("a", 0.5), ("c", 0.4)), False),  # another order, no tie
        (neighbours(("a", 0.9), ("b", 0.5), ("d", 0.4)), True),  # tied with the last that was kept
        (neighbours(("a", 0.9), ("d", 0.5), ("c", 0.4)), False),  # unknown, and no tie with the last
        (neighbours(("a", 0.9), ("b", 0.5)), False),
    ],
)
def test_golden_answers_agree_up_to_ties_and_tolerance(found, same):
    assert same_neighbours(found, neighbours(("a", 0.9), ("b", 0.5), ("c", 0.4))) is same


def test_tied_neighbours_may_change_places():
    assert same_neighbours(neighbours(("b", 0.5), ("a", 0.5)), neighbours(("a", 0.5), ("b", 0.5)))


def reranked(*answers):
    return [{"id": name, "label": name, "score": score, "inliers": inliers} for name, score, inliers in answers]


GOLDEN = reranked(("a", 0.6, 40), ("b", 0.65, 12), ("c", 0.62, 9), ("d", 0.6, 0))


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (GOLDEN, True),
        (reranked(("a", 0.601, 38), ("b", 0.65, 13), ("c", 0.62, 8), ("d", 0.6, 4)), True),  # a few matches more or less
        (reranked(("a", 0.6, 40), ("c", 0.62, 13), ("b", 0.65, 8), ("d", 0.6, 0)), True),  # so few that two change places
        (reranked(("a", 0.6, 40), ("b", 0.65, 12), ("c", 0.62, 9), ("e", 0.61, 0)), True),  # as good as the last that was kept
        (reranked(("b", 0.65, 12), ("a", 0.6, 40), ("c", 0.62, 9), ("d", 0.6, 0)), False),  # another order
        (reranked(("a", 0.61, 40), ("b", 0.65, 12), ("c", 0.62, 9), ("d", 0.6, 0)), False),  # another score
        (reranked(("a", 0.6, 40), ("b", 0.65, 12), ("e", 0.62, 9), ("d", 0.6, 0)), False),  # unknown, and better than the last
        (reranked(("a", 0.6, 34), ("b", 0.65, 12), ("c", 0.62, 9), ("d", 0.6, 0)), False),  # fewer matches
        (neighbours(("a", 0.6), ("b", 0.65), ("c", 0.62), ("d", 0.6)), False),  # the version does not re-rank
    ],
)
def test_reranked_answers_agree_up_to_a_few_matches(found, same):
    assert same_neighbours(found, GOLDEN) is same
