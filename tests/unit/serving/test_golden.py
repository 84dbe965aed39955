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
