import numpy as np
import pytest

from model.errors import InvalidInput
from model.evaluation.figures import by_group, histogram, summarise, worst_first
from model.schemas.figures import Bootstrap
from tests.support.reports import figure, make_queries

GROUPS = np.array(["fruit", "fruit", "pear", "lone"])


def drawn(samples: int = 400, confidence: float = 0.95) -> Bootstrap:
    return Bootstrap(samples=samples, confidence=confidence, seed=0)


def test_the_summary_counts_only_queries_that_can_be_answered():
    summary = summarise(make_queries([1.0, 0.0, 0.2, 0.9], [0, 0, 1, 2], [True, True, True, False]), drawn(1000))
    assert set(summary) == {"recall_at_1", "recall_at_2", "map_at_r", "r_precision"}
    assert summary["map_at_r"].value == pytest.approx(0.4)
    assert summary["recall_at_1"].value == pytest.approx(1 / 3)
    assert summary["recall_at_2"] == figure(1)
    assert (summary["map_at_r"].lower, summary["map_at_r"].upper) == pytest.approx((0.2, 0.5))  # of class 1 alone, of class 0


def test_where_no_query_has_a_match_there_is_nothing_to_summarise():
    with pytest.raises(InvalidInput, match="None of 2 queries"):
        summarise(make_queries([0, 0], [0, 1], [False, False]), drawn())


def test_each_group_has_its_own_figures_beside_the_untrained_ones_and_none_is_left_out():
    candidate = make_queries([1.0, 0.4, 0.2, 0.0], [0, 1, 2, 3], [True, True, True, False])
    before = make_queries([0.5, 0.3, 0.6, 0.0], [0, 1, 2, 3], [True, True, True, False])
    table = by_group(candidate, before, GROUPS, drawn(200))
    fruit, pear, lone = table["fruit"], table["pear"], table["lone"]
    assert (fruit.queries, fruit.recall_at_1, fruit.map_at_r, fruit.untrained) == (2, figure(0.5, 0, 1), figure(0.7, 0.4, 1), 0.4)
    assert (pear.map_at_r, pear.untrained) == (figure(0.2), 0.6)
    assert (lone.queries, lone.recall_at_1, lone.map_at_r, lone.untrained) == (0, None, None, None)
    assert [row.name for row in worst_first(table)] == ["pear", "fruit"]


def test_a_group_draws_its_classes_whole_and_the_queries_of_a_single_class_one_by_one():
    one, two = np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1])
    values, group = [0.0, 0.0, 1.0, 1.0], np.array(["all"] * 4)
    whole = by_group(make_queries(values, two), make_queries(values, two), group, drawn(confidence=0.6))["all"]
    single = by_group(make_queries(values, one), make_queries(values, one), group, drawn(confidence=0.6))["all"]
    assert whole.map_at_r == figure(0.5, 0, 1)  # half of all resamples are one class twice
    assert single.map_at_r == figure(0.5, 0.25, 0.75)


def test_the_histogram_counts_every_query_once():
    columns = histogram(make_queries([0.0, 0.05, 1.0], [0, 0, 1]), make_queries([0.5, 0.5, 0.5], [0, 0, 1]))
    assert [column.candidate for column in columns] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert columns[5].untrained == 3
