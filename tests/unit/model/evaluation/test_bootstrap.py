import math
from dataclasses import replace

import numpy as np
import pytest

from model.errors import InvalidInput
from model.evaluation import bootstrap
from model.evaluation.bootstrap import bootstrap_interval, by_group, paired_difference, resampled_means, summarise
from model.evaluation.metrics import PerQuery


def figures(map_at_r, labels, has_match=None) -> PerQuery:
    """Figures made up: Recall@1 and R-precision are 1 where MAP@R is above 0.5."""
    values = np.array(map_at_r, dtype=np.float64)
    count = len(values)
    hit = values > 0.5
    return PerQuery(
        ids=np.array([f"{i}.jpg" for i in range(count)]),
        labels=np.array(labels, dtype=np.int64),
        ks=(1, 2),
        recall=np.stack([hit, np.ones(count, dtype=bool)], axis=1),
        map_at_r=values,
        r_precision=hit.astype(np.float64),
        has_match=np.ones(count, dtype=bool) if has_match is None else np.array(has_match),
        neighbours=np.full((count, 10), -1),
        scores=np.full((count, 10), -np.inf, dtype=np.float32),
    )


def test_the_interval_over_queries_is_that_of_the_central_limit():
    values = np.random.default_rng(1).normal(0.5, 0.1, size=2000)
    lower, upper = bootstrap_interval(values, samples=4000)
    error = 1.96 * values.std() / math.sqrt(2000)
    assert lower == pytest.approx(values.mean() - error, abs=error / 10)
    assert upper == pytest.approx(values.mean() + error, abs=error / 10)


def test_two_classes_are_drawn_whole():
    # Two classes of 1 query and of 3: the only means are all of the first, all of the second, and one of each.
    means = resampled_means(np.array([[0.0], [1.0], [1.0], [1.0]]), np.array([7, 9, 9, 9]), samples=400)
    assert sorted(set(means[:, 0])) == [0.0, 0.75, 1.0]
    assert (means == 0.75).mean() == pytest.approx(0.5, abs=0.1)


def test_images_alike_within_a_class_widen_the_interval_by_class_alone():
    classes = np.repeat(np.arange(20), 50)
    values = (classes % 2).astype(np.float64)
    by_query = np.diff(bootstrap_interval(values))
    whole = np.diff(bootstrap_interval(values, classes))
    assert whole > 5 * by_query  # the square root of 50 is 7


def test_the_queries_of_a_single_class_are_drawn_one_by_one():
    values = np.array([0.0, 1.0] * 20)
    assert bootstrap_interval(values, np.zeros(40, dtype=np.int64)) == bootstrap_interval(values)
    assert np.diff(bootstrap_interval(values)) > 0.1


def test_a_seed_repeats_and_another_differs():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_a_wider_confidence_is_a_wider_interval():
    values = np.random.default_rng(0).random(50)
    narrow, wide = bootstrap_interval(values, confidence=0.5), bootstrap_interval(values, confidence=0.99)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_every_resample_is_drawn_however_few_fit_at_a_time(monkeypatch):
    values = np.arange(10.0)[:, None]
    monkeypatch.setattr(bootstrap, "CELLS", 35)
    means = resampled_means(values, None, samples=100)
    assert means.shape == (100, 1)
    assert means.std() > 0.5


def test_equal_models_differ_by_nothing_with_certainty():
    one = figures(np.random.default_rng(0).random(30), np.arange(30) % 6)
    assert paired_difference(one, one) == (0, 0, 0)


def test_a_small_gain_on_every_query_shows_when_paired():
    values = np.random.default_rng(0).random(60) * 0.9
    before, after = figures(values, np.arange(60) % 12), figures(values + 0.02, np.arange(60) % 12)
    gain = paired_difference(after, before)
    assert gain.lower == pytest.approx(0.02)
    assert gain.upper == pytest.approx(0.02)
    assert summarise(after)["map_at_r_interval"][0] < summarise(before)["map_at_r_interval"][1]


def test_the_paired_interval_draws_whole_classes_unless_told_otherwise():
    before, after = figures(np.full(80, 0.5), np.arange(80) // 10), figures(np.repeat([0.4, 0.6] * 4, 10), np.arange(80) // 10)
    whole, single = paired_difference(after, before), paired_difference(after, before, by_class=False)
    assert whole.upper - whole.lower > 2 * (single.upper - single.lower)  # the square root of 10 is 3.2


def test_the_difference_of_another_figure_may_be_asked():
    better, worse = figures([0.9, 0.9], [0, 1]), figures([0.1, 0.9], [0, 1])
    assert paired_difference(better, worse, figure="recall_at_1").mean == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [("ids", np.array(["1.jpg", "0.jpg"])), ("labels", np.array([0, 2])), ("has_match", np.array([True, False]))],
)
def test_figures_of_other_queries_are_not_compared(name, value):
    one = figures([0.1, 0.2], [0, 1])
    with pytest.raises(InvalidInput, match=name):
        paired_difference(one, replace(one, **{name: value}))


def test_the_summary_is_flat_and_leaves_out_no_query_without_saying_so():
    summary = summarise(figures([1.0, 0.0, 0.2, 0.9], [0, 0, 1, 2], [True, True, True, False]))
    assert summary["map_at_r"] == pytest.approx(0.4)
    assert summary["recall_at_1"] == pytest.approx(1 / 3)
    assert summary["recall_at_2"] == 1
    assert summary["recall_at_2_interval"] == [1, 1]
    assert (summary["queries"], summary["queries_without_match"], summary["classes"]) == (4, 1, 3)
    assert summary["map_at_r_interval"] == pytest.approx([0.2, 0.5])  # the means of class 1 alone, and of class 0
    assert set(summary) == {
        *("recall_at_1", "recall_at_2", "map_at_r", "r_precision"),
        *("recall_at_1_interval", "recall_at_2_interval", "map_at_r_interval", "r_precision_interval"),
        *("queries", "queries_without_match", "classes"),
    }


def test_where_no_query_has_a_match_there_is_nothing_to_summarise():
    with pytest.raises(InvalidInput, match="None of 2 queries"):
        summarise(figures([0, 0], [0, 1], [False, False]))


GROUPS = np.array(["fruit", "fruit", "pear", "lone"])


def test_each_group_has_its_own_figures_beside_the_untrained_ones_and_none_is_left_out():
    candidate = figures([1.0, 0.4, 0.2, 0.0], [0, 1, 2, 3], [True, True, True, False])
    before = figures([0.5, 0.3, 0.6, 0.0], [0, 1, 2, 3], [True, True, True, False])
    table = by_group(candidate, before, GROUPS, samples=200)
    intervals = {"recall_at_1_interval": [0.0, 1.0], "map_at_r_interval": [0.4, 1.0]}  # of two classes: one of them twice
    assert table["fruit"] == {"queries": 2, "recall_at_1": 0.5, "map_at_r": 0.7, "untrained": 0.4, **intervals}
    assert (table["pear"]["map_at_r"], table["pear"]["map_at_r_interval"], table["pear"]["untrained"]) == (0.2, [0.2, 0.2], 0.6)
    assert table["lone"] == {"queries": 0} | dict.fromkeys(
        ("recall_at_1", "recall_at_1_interval", "map_at_r", "map_at_r_interval", "untrained")
    )


def test_a_group_draws_its_classes_whole_and_the_queries_of_a_single_class_one_by_one():
    one, two = np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1])
    values = [0.0, 0.0, 1.0, 1.0]
    group = np.array(["all"] * 4)
    whole = by_group(figures(values, two), figures(values, two), group, samples=400, confidence=0.6)
    single = by_group(figures(values, one), figures(values, one), group, samples=400, confidence=0.6)
    assert whole["all"]["map_at_r_interval"] == [0, 1]  # half of all resamples are one class twice
    assert single["all"]["map_at_r_interval"] == [0.25, 0.75]
