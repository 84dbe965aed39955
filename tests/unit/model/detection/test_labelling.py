import numpy as np
import pytest

from model.detection.calibration import Judged, fit_labelling, wilson
from model.detection.features import MEASURED
from model.detection.labelling import chosen, default_labelling, log_odds, probabilities, shares
from model.schemas.labelling import Labelling

EVIDENCE, RATIO, PLACES = (MEASURED.index(name) for name in ("evidence", "ratio", "places"))


def rows(*values):
    table = np.zeros((len(values), len(MEASURED)))
    for row, (evidence, ratio, places) in zip(table, values, strict=True):
        row[[EVIDENCE, RATIO, PLACES]] = evidence, ratio, places
    return table


def labelling(**changes):
    return Labelling(**{"choice": {"ratio": 1.0, "places": 1.0}, "score": {"evidence": 1.0}, "bias": 0.0, **changes})


def test_the_shares_of_a_place_are_a_softmax_of_its_labels_alone():
    features = rows((0, 0, np.log(3)), (0, 0, 0), (0, 0, 5))
    assert shares(labelling(), features, np.array([0, 0, 1])).tolist() == pytest.approx([0.75, 0.25, 1])


def test_one_label_of_each_place_is_chosen_the_first_of_equal_ones():
    assert chosen(np.array([0.2, 0.8, 0.5, 0.5]), np.array([0, 0, 1, 1])).tolist() == [False, True, True, False]


def test_what_a_network_cannot_say_counts_as_nothing():
    features = rows((1, 0, np.nan))
    odds, best = log_odds(labelling(score={"evidence": 2.0, "places": 7.0}), features, np.array([0]))
    assert odds.tolist() == [2]
    assert best.tolist() == [True]


@pytest.mark.parametrize(
    ("heads", "read"),
    [
        ((), set()),
        (("global",), {"global"}),
        (("local", "places"), {"local", "places"}),
        (("global", "local", "places"), {"global", "local", "places"}),
    ],
)
def test_the_stored_coefficients_read_the_heads_that_there_are(heads, read):
    found = default_labelling(heads)
    assert found.features & {"global", "local", "places"} == read
    assert found.calibration is None  # nothing was seen of the data


def test_log_odds_become_probabilities():
    assert probabilities(np.array([0.0, np.log(3), 1000])).tolist() == pytest.approx([0.5, 0.75, 1])


def scenes(count, seed=0):
    """Places with one right and one wrong label, told apart by `places`; and places with less evidence where nothing is right."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        table = rows((2, 0, 1), (2, 0, -1), (-1, 0, 0)) + 0.3 * random.normal(size=(3, len(MEASURED)))
        found.append(Judged(table, np.array([0, 0, 1]), np.array([True, False, False]), 1))
    return found


def test_fitting_learns_which_feature_tells_labels_apart_and_what_a_score_is_worth():
    start = labelling(choice={"ratio": 0.0, "places": 0.0}, score={"evidence": 0.0})
    fitted = fit_labelling(scenes(40), start)
    assert fitted.choice["places"] > 1 > abs(fitted.choice["ratio"])
    odds, best = log_odds(fitted, rows((2, 0, 1), (2, 0, -1), (-1, 0, 0)), np.array([0, 0, 1]))
    assert best.tolist() == [True, False, True]
    assert odds[0] > 2 > -2 > odds[2]
    assert fitted.calibration.scenes == fitted.calibration.boxes == 40
    sure = {point.score: point for point in fitted.calibration.points}[0.5]
    assert (sure.detections, sure.precision, sure.recall) == (40, 1, 1)


def test_a_few_scenes_do_not_overrule_the_stored_coefficients():
    start = labelling(choice={"ratio": 0.0, "places": 3.0}, score={"evidence": 3.0})
    fitted = fit_labelling(scenes(2), start)
    assert fitted.choice["places"] == pytest.approx(3, abs=0.2)


def test_without_scenes_the_coefficients_stay_and_say_that_they_are_not_calibrated():
    start = labelling()
    nothing = Judged(np.empty((0, len(MEASURED))), np.empty(0, np.int64), np.empty(0, bool), 2)
    assert fit_labelling([], start) is start
    assert fit_labelling([nothing], start) is start


def test_the_interval_of_a_share():
    assert wilson(0, 0) == (0, 1)
    low, high = wilson(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
