import math
from dataclasses import replace

import numpy as np
import pytest

from model.errors import InvalidInput
from model.evaluation import bootstrap
from model.evaluation.bootstrap import bootstrap_interval, paired_difference, resampled_means
from model.evaluation.figures import summarise
from model.schemas.figures import Bootstrap
from tests.support.reports import make_queries as figures


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
    monkeypatch.setattr(bootstrap, "MAX_ELEMENTS", 35)
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
    drawn = Bootstrap(samples=1000, confidence=0.95, seed=0)
    assert summarise(after, drawn)["map_at_r"].lower < summarise(before, drawn)["map_at_r"].upper


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
