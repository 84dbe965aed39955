"""Verification and open-set identification: rates of hand-counted attempts."""

import numpy as np
import pytest

from model.evaluation.accept_rates import accept_figures, identification, verification
from model.evaluation.metrics import as_embedded, evaluate_retrieval
from model.schemas.figures import Bootstrap

BOOTSTRAP = Bootstrap(samples=200, confidence=0.95, seed=0)


def at(*degrees):
    """Unit vectors at angles in a plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def figures(vectors, labels, ids=None, *, calibrated=None, queries=None):
    """Those of verification and of identification; the untrained trunk sees the same."""
    ids = np.arange(len(labels)).astype(str) if ids is None else ids
    calibrated = calibrated or {}
    counts = verification(as_embedded(vectors, labels, ids), queries=queries, calibrated=calibrated)
    found = identification(evaluate_retrieval(vectors, labels, ids, queries=queries), calibrated=calibrated)
    return (
        accept_figures(counts, counts, calibrated, BOOTSTRAP, equal_error=True),
        accept_figures(found, found, calibrated, BOOTSTRAP, equal_error=False),
    )


# Class 0 at 0 and 20 degrees, class 1 at 60 and 90: like pairs have cosines .940 and .866,
# unlike ones .5 (0-60), .766 (20-60), 0 (0-90) and .342 (20-90).
VECTORS, LABELS = at(0, 20, 60, 90), [0, 0, 1, 1]


def test_pairs_are_counted_above_the_calibrated_thresholds():
    pairs, _ = figures(VECTORS, LABELS, calibrated={"0.01": 0.7, "0.001": 0.9})
    assert (pairs.genuine, pairs.impostors) == (4, 8)  # each pair from both its ends
    loose, strict = pairs.thresholds["0.01"], pairs.thresholds["0.001"]
    assert (loose.false_accept.value, loose.true_accept.value) == (0.25, 1)
    assert (strict.false_accept.value, strict.true_accept.value) == (0, 0.5)
    assert pairs.calibration_errors == pytest.approx([0.24, 0.001])
    assert pairs.candidate.eer.value == 0
    assert pairs.candidate.true_accept_at == {}, "8 pairs do not show a rate of 1 %"


def test_pairs_are_compared_less_the_offsets_of_both():
    """The like pair at 60 and 90 degrees scores .866 - .2 - .1, the unlike one at 20 and 60 degrees .766 - .2."""
    samples = as_embedded(VECTORS, np.array(LABELS), np.arange(4).astype(str))
    offsets = np.array([0, 0, 0.2, 0.1], np.float32)
    counts = verification(samples, calibrated={"0.01": 0.565, "0.001": 0.567}, offsets=offsets)
    found = accept_figures(counts, counts, {"0.01": 0.565, "0.001": 0.567}, BOOTSTRAP, equal_error=True)
    loose, strict = found.thresholds["0.01"], found.thresholds["0.001"]
    assert (loose.false_accept.value, loose.true_accept.value) == (0.25, 1)
    assert (strict.false_accept.value, strict.true_accept.value) == (0, 0.5)


def test_a_score_that_equals_the_threshold_is_not_accepted():
    pairs, _ = figures(at(0, 0, 90, 90), [0, 1, 0, 1], calibrated={"0.01": 1.0})
    assert pairs.thresholds["0.01"].false_accept.value == 0


def test_the_equal_error_rate_lies_where_both_errors_are_alike():
    # Like pairs .866 and .174, unlike ones .342, -.866, .766 and -.5: between .174 and .342 half of either kind is wrong.
    pairs, _ = figures(at(0, 30, 70, 150), [0, 0, 1, 1])
    assert pairs.candidate.eer.value == 0.5


def test_identification_needs_the_nearest_item_to_be_right_and_above_the_threshold():
    # Query 60 degrees: its own class at 90 is 30 degrees away, the other one 40. As a stranger it has the cosine of 40 degrees.
    _, named = figures(VECTORS, LABELS, calibrated={"0.01": 0.7})
    assert (named.genuine, named.impostors) == (4, 4)
    measured = named.thresholds["0.01"]
    assert measured.true_accept.value == 1
    assert measured.false_accept.value == 0.5  # 20 and 60 degrees are near each other
    assert named.candidate.eer is None


def test_a_query_that_is_nearest_to_another_class_is_never_rightly_identified():
    _, named = figures(at(0, 20, 25, 60), [0, 0, 1, 1])
    assert max(point.true_accept for point in named.candidate.curve) == 0.5  # 0 and 60 degrees


def test_samples_of_one_image_are_no_pair():
    pairs, _ = figures(VECTORS, LABELS, ids=["a", "a", "b", "c"])
    assert (pairs.genuine, pairs.impostors) == (2, 8)


def test_distractors_are_compared_and_do_not_ask():
    pairs, named = figures(VECTORS, [0, 0, 1, 2], queries=2)
    assert (pairs.genuine, pairs.impostors) == (2, 4)
    assert (named.genuine, named.impostors) == (2, 2)


def test_without_a_second_class_or_a_second_image_there_is_nothing_to_measure():
    assert figures(VECTORS, [0, 0, 0, 0]) == (None, None)
    assert figures(VECTORS, [0, 1, 2, 3]) == (None, None)


def test_the_curve_rises_and_ends_where_all_is_accepted():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 10)
    vectors = np.eye(20)[labels] + random.normal(0, 0.35, (200, 20))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs, named = figures(vectors, labels)
    for one in (pairs, named):
        wrong, right = ([getattr(point, name) for point in one.candidate.curve] for name in ("false_accept", "true_accept"))
        assert wrong == sorted(wrong)
        assert right == sorted(right)
        assert wrong[-1] == 1
        assert len(wrong) > 20
        at_rate = one.candidate.true_accept_at["0.01"]
        assert at_rate.lower < at_rate.value < at_rate.upper
    assert pairs.candidate.curve[-1].true_accept == 1
    assert list(pairs.candidate.true_accept_at) == ["0.01", "0.001"]
    assert list(named.candidate.true_accept_at) == ["0.01"], "200 queries do not show a rate of 0.1 %"


def test_the_interval_of_a_rate_holds_it_as_often_as_it_says():
    """Classes differ: each has its own share of accepted pairs. The true rate is 0.5."""
    inside = 0
    for seed in range(30):
        random = np.random.default_rng(seed)
        labels = np.repeat(np.arange(60), 2)
        angle = np.where(random.random(60) < 0.5, 0.1, 1.4)  # half of the classes are alike, half are not
        base = np.eye(60)
        spare = np.eye(60)[(np.arange(60) + 1) % 60]
        second = np.cos(angle)[:, None] * base + np.sin(angle)[:, None] * -spare
        vectors = np.empty((120, 60), np.float32)
        vectors[::2], vectors[1::2] = base, second
        pairs, _ = figures(vectors, labels, calibrated={"0.01": 0.5})
        measured = pairs.thresholds["0.01"].true_accept
        inside += measured.lower <= 0.5 <= measured.upper
    assert inside >= 26
