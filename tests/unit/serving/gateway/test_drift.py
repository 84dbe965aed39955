"""Drift: answers that are like the reference, and answers that are not."""

import logging

import numpy as np
import pytest
from scipy import stats

from model.evaluation.calibration import calibrate, histogram
from model.schemas.calibration import BINS, Reference
from serving.backends.port import Served
from serving.gateway import drift
from serving.gateway.drift import FEWEST, WINDOW, Drift

RNG = np.random.default_rng(0)


def scores(mean, count):
    return np.clip(RNG.normal(mean, 0.1, count), 0, 1)


REFERENCE = Reference(queries=1000, best_score=histogram(scores(0.7, 1000)), margin=histogram(scores(0.3, 1000)), unknown=0.2)
SERVED = Served("mugs", "3", "r", "s", reference=REFERENCE)


def answers(best, count, *, margin=0.3, unknown=0.2):
    known = RNG.random(count) >= unknown
    found = zip(scores(best, count), scores(margin, count), known, strict=True)
    return [{"release": "r", "score": float(a), "margin": float(b), "known": bool(c)} for a, b, c in found]


def test_answers_like_those_to_held_out_images_have_not_moved(caplog):
    seen = Drift()
    seen.note(SERVED, "identify", answers(0.7, WINDOW))
    found = seen.distances()["r"]
    assert set(found) == {"best_score", "margin", "unknown"}
    assert not any(each.has_moved for each in found.values())
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"best": 0.5}, {"best_score"}),
        ({"best": 0.7, "margin": 0.05}, {"margin"}),
        ({"best": 0.7, "unknown": 0.7}, {"unknown"}),
    ],
)
def test_what_has_moved_is_named_and_warned_of_once(caplog, changes, moved):
    seen = Drift()
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            seen.note(SERVED, "identify", answers(count=FEWEST, **changes))
    assert {name for name, each in seen.distances()["r"].items() if each.has_moved} == moved
    assert len(caplog.records) == len(moved)
    assert "mugs 3" in caplog.text


def test_only_the_last_answers_count_and_few_say_nothing():
    seen = Drift()
    seen.note(SERVED, "identify", answers(0.2, FEWEST - 1))
    assert seen.distances() == {}
    seen.note(SERVED, "identify", answers(0.7, WINDOW))
    assert not seen.distances()["r"]["best_score"].has_moved


def test_searches_other_releases_and_releases_without_a_reference_are_left_out():
    seen = Drift()
    seen.note(SERVED, "search", answers(0.2, WINDOW))
    seen.note(SERVED, "identify", [answer | {"release": "old"} for answer in answers(0.2, WINDOW)])
    seen.note(Served("mugs", "3", "r", "s"), "identify", answers(0.2, WINDOW))
    assert seen.distances() == {}


def test_the_p_values_are_those_of_the_known_tests():
    now, then = RNG.integers(0, 20, 300), RNG.integers(0, 20, 400) // 2
    counts = [np.bincount(each, minlength=20).tolist() for each in (now, then)]
    assert drift._distribution_p_value(*counts) == pytest.approx(stats.ks_2samp(now, then, method="asymp").pvalue, rel=0.05)
    table = ((30, 70), (25, 175))
    expected = stats.chi2_contingency(np.array(table), correction=False).pvalue
    assert drift._share_p_value(*table) == pytest.approx(expected, rel=1e-9)


def test_an_answer_falls_into_the_bin_in_which_the_same_similarity_was_counted():
    """Also on the edge of two bins, where a similarity of float32 lies a little above or below."""
    for score in np.concatenate([np.linspace(0, 1, BINS + 1, dtype=np.float32), RNG.random(500, np.float32)]):
        counted = histogram(np.full(FEWEST, score, np.float32))
        seen = Drift()
        reference = Reference(queries=FEWEST, best_score=counted, margin=counted, unknown=0)
        answered = {"release": "r", "score": round(float(score), 6), "margin": round(float(score), 6), "known": True}
        seen.note(Served("mugs", "3", "r", "s", reference=reference), "identify", [answered] * FEWEST)
        assert seen.distances()["r"]["best_score"].psi == 0
    assert histogram(np.array([-0.5, 1.0000001], np.float32)) == (1, *[0] * (BINS - 2), 1)


def test_a_reference_is_what_the_held_out_images_of_a_fold_find():
    angles = np.radians([0, 10, 90, 130])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = calibrate(vectors, np.array([0, 0, 1, 1]), np.zeros(4, int)).reference
    best = np.cos(np.radians([10, 10, 40, 40]))
    assert found.queries == 4
    assert found.best_score == histogram(best)
    assert found.margin == histogram(best - np.cos(np.radians([90, 80, 80, 120])))
    assert found.unknown == 0
