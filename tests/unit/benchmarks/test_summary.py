"""Means, intervals over seeds, and differences by hand."""

import numpy as np
import pytest

from benchmarks import summary
from benchmarks.summary import difference, mean_ranks, over_seeds, seed_interval
from benchmarks.trials import Trial
from model.evaluation.metrics import evaluate_retrieval


def test_the_interval_over_three_seeds_is_students():
    # mean 2, standard deviation 1, t(0.975, 2) = 4.3027: 4.3027 / sqrt(3) = 2.4841
    assert seed_interval([1.0, 2.0, 3.0]) == pytest.approx([2 - 2.4841, 2 + 2.4841], abs=1e-3)


def test_a_single_seed_has_no_interval():
    assert seed_interval([0.5]) is None


def found(seed):
    vectors = np.random.default_rng(seed).normal(size=(12, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return evaluate_retrieval(vectors, np.repeat(np.arange(4), 3), [f"{row}" for row in range(12)])


def test_seeds_are_averaged_query_by_query_before_they_are_compared(monkeypatch):
    monkeypatch.setattr(summary, "per_query", lambda _, trial: found(trial.seed))
    trials = [Trial("sona", seed) for seed in (0, 1)]
    mean = over_seeds(None, trials)
    assert mean.map_at_r == pytest.approx((found(0).map_at_r + found(1).map_at_r) / 2)
    against = difference(mean, found(2))
    assert against["map_at_r"] == pytest.approx(mean.map_at_r.mean() - found(2).map_at_r.mean())
    assert against["interval"][0] <= against["map_at_r"] <= against["interval"][1]


def test_ranks_are_averaged_over_the_data_sets_and_equals_share_theirs():
    sets = [
        {"a": {"map_at_r": 0.3}, "b": {"map_at_r": 0.5}, "c": {"map_at_r": 0.5}},
        {"a": {"map_at_r": 0.9}, "b": {"map_at_r": 0.1}},
    ]
    sets[1]["c"] = {"map_at_r": 0.2}
    assert mean_ranks(sets) == {"a": 2.0, "b": 2.25, "c": 1.75}


def test_a_method_without_figures_on_some_data_set_has_no_rank():
    assert mean_ranks([{"a": {"map_at_r": 0.3}, "b": {"error": "diverged"}}]) == {"a": 1.0}
