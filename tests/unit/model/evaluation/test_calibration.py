import numpy as np
import pytest

from model.evaluation.calibration import calibrate
from model.schemas.calibration import Calibration

ANGLES = (0, 10, 90, 130)
VECTORS = np.stack([np.cos(np.radians(ANGLES)), np.sin(np.radians(ANGLES))], axis=1).astype(np.float32)
LABELS = np.array([0, 0, 1, 1])


def cosine(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def test_four_images_by_hand():
    """Unlike pairs are 90, 130, 80 and 120 degrees apart; like pairs 10 and 40."""
    found = calibrate(VECTORS, LABELS, np.zeros(len(VECTORS), int))
    assert found.pairs == 8
    for rate in ("0.01", "0.001"):
        assert found.verify[rate].threshold == pytest.approx(cosine(80), abs=1e-6)
        assert found.verify[rate].true_accept_rate == 1.0
        assert found.identify[rate].threshold == pytest.approx(cosine(80), abs=1e-6)


def test_like_images_farther_apart_than_unlike_ones_are_not_accepted():
    found = calibrate(VECTORS, np.array([0, 1, 0, 1]), np.zeros(4, int))  # like: 90 and 120; the nearest unlike: 10
    assert found.verify["0.01"].threshold == pytest.approx(cosine(10), abs=1e-6)
    assert found.verify["0.01"].true_accept_rate == 0.0


def test_offsets_move_the_thresholds_of_pairs_and_of_nothing_else():
    """The unlike pairs are 90, 130, 80 and 120 degrees apart; the image at 90 degrees is nearest to a training class."""
    plain = calibrate(VECTORS, LABELS, np.zeros(4, int))
    found = calibrate(VECTORS, LABELS, np.zeros(4, int), np.array([0, 0, 0.3, 0], np.float32))
    assert (plain.normalised, found.normalised) == (False, True)
    for rate in ("0.01", "0.001"):
        assert found.verify[rate].threshold == pytest.approx(cosine(80) - 0.3, abs=1e-6)
        assert found.identify[rate] == plain.identify[rate]
    assert found.reference == plain.reference


def test_a_like_pair_below_the_threshold_by_its_offsets_is_not_accepted():
    found = calibrate(VECTORS, LABELS, np.zeros(4, int), np.array([0.5, 0.5, 0, 0], np.float32))
    assert found.verify["0.01"].threshold == pytest.approx(cosine(80) - 0.5, abs=1e-6)  # 120 - 0.5 and 130 are lower
    found = calibrate(VECTORS, LABELS, np.zeros(4, int), np.array([0.5, 0.5, -0.5, -0.5], np.float32))
    assert found.verify["0.01"].threshold == pytest.approx(cosine(80), abs=1e-6)
    assert found.verify["0.01"].true_accept_rate == 0.5, "the pair of 10 degrees scores .985 - 1"


def test_no_more_pairs_than_the_rate_pass_the_threshold():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.arange(300) % 30
    found = calibrate(vectors, labels, np.zeros(len(vectors), int))
    unlike = (vectors @ vectors.T)[labels[:, None] != labels[None, :]]
    like = (vectors @ vectors.T)[(labels[:, None] == labels[None, :]) & ~np.eye(300, dtype=bool)]
    for rate in (0.01, 0.001):
        entry = found.verify[str(rate)]
        passed = (unlike > entry.threshold).mean()
        assert rate / 2 < passed <= rate
        assert entry.true_accept_rate == pytest.approx((like > entry.threshold).mean())
    assert found.verify["0.001"].threshold > found.verify["0.01"].threshold
    assert found.identify["0.01"].threshold > found.verify["0.01"].threshold  # the best of many strangers


def test_an_image_does_not_vouch_for_itself():
    """Each class has one image, so that there is no like pair."""
    found = calibrate(VECTORS[[0, 2]], np.array([0, 1]), np.zeros(2, int))
    assert found.verify["0.01"].true_accept_rate == 0.0


@pytest.mark.parametrize("count", [0, 2])
def test_fewer_than_two_classes_calibrate_nothing(count):
    assert calibrate(VECTORS[:count], LABELS[:count], np.zeros(count, int)) == Calibration()


def test_only_images_of_one_fold_are_compared():
    """Each fold has a network of its own, so that a similarity across folds says nothing."""
    one = calibrate(VECTORS, LABELS, np.zeros(4, int))
    turned = np.stack([-VECTORS[:, 1], VECTORS[:, 0]], axis=1)  # by 90 degrees: the same angles among themselves
    both = calibrate(np.concatenate([VECTORS, turned]), np.concatenate([LABELS, LABELS + 2]), np.repeat([0, 1], 4))
    assert both.pairs == 2 * one.pairs
    for rate, entry in one.verify.items():
        assert both.verify[rate].threshold == pytest.approx(entry.threshold, abs=1e-6)
        assert both.verify[rate].true_accept_rate == entry.true_accept_rate
        assert both.identify[rate].threshold == pytest.approx(one.identify[rate].threshold, abs=1e-6)


def test_a_class_that_two_folds_held_out_is_no_pair_across_them():
    labels = np.array([0, 1, 0, 1])
    assert calibrate(VECTORS, labels, np.array([0, 0, 1, 1])).pairs == 4


def test_each_rate_has_an_interval_over_classes():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = calibrate(vectors, np.arange(300) % 30, np.zeros(300, int))
    for entries in (found.verify, found.identify):
        low, high = entries["0.01"].rate_interval
        assert 0 <= low < 0.01 < high < 0.1


def test_a_release_of_earlier_code_has_no_interval():
    stored = {
        "verify": {"0.01": {"threshold": 0.5, "true_accept_rate": 0.9}},
        "identify": {"0.01": {"threshold": 0.6}},
        "pairs": 9,
    }
    assert Calibration.model_validate(stored).verify["0.01"].rate_interval is None
