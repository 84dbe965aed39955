import numpy as np
import pytest

from model.evaluation.average_precision import (
    SceneBoxes,
    ap50,
    ap50_unlabelled,
    average_precision,
    detection_figures,
    matched,
    matched_by_label,
)
from model.schemas.figures import Figure

SQUARE = (0, 0, 10, 10)
NEAR = (0, 0, 10, 8)  # IoU .8 with SQUARE
HALF = (0, 0, 10, 5)  # IoU .5
LESS = (0, 0, 10, 4.9)
FAR = (50, 50, 60, 60)


def boxes(*rows):
    return SceneBoxes.of(rows)


def truth(*rows):
    return SceneBoxes.of([(label, box, 1.0) for label, box in rows])


def test_the_area_is_taken_at_every_point_below_the_highest_later_precision():
    # right, wrong, right, wrong, right of 4 true boxes: precisions 1, 2/3, 3/5 at recalls 1/4, 2/4, 3/4
    right = np.array([True, False, True, False, True])
    assert average_precision(np.arange(5, 0, -1.0), right, 4) == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)
    # wrong, right, right: the precision 2/3 at the second counts for the first as well
    assert average_precision(np.array([3.0, 2, 1]), np.array([False, True, True]), 2) == pytest.approx(2 / 3)


def test_equal_scores_count_against_the_detector():
    assert average_precision(np.array([1.0, 1.0]), np.array([True, False]), 1) == pytest.approx(1 / 2)


def test_nothing_found_is_worth_nothing_and_nothing_to_find_has_no_figure():
    nothing = np.empty(0)
    assert average_precision(nothing, nothing.astype(bool), 3) == 0
    assert np.isnan(average_precision(nothing, nothing.astype(bool), 0))


def test_a_box_is_right_from_half_of_the_union_on():
    assert matched(boxes(("a", HALF, 1.0)), truth(("a", SQUARE))).tolist() == [True]
    assert matched(boxes(("a", LESS, 1.0)), truth(("a", SQUARE))).tolist() == [False]


def test_each_true_box_is_found_once_by_the_best_score():
    found = boxes(("a", NEAR, 0.5), ("a", SQUARE, 0.4), ("a", HALF, 0.9))
    assert matched(found, truth(("a", SQUARE))).tolist() == [False, False, True]


def test_another_label_is_wrong_with_labels_and_right_without():
    found, true = [boxes(("b", SQUARE, 1.0))], [truth(("a", SQUARE))]
    assert matched_by_label(found[0], true[0]).tolist() == [False]
    assert (ap50(found, true), ap50_unlabelled(found, true)) == (0, 1)


def test_labels_are_averaged_and_labels_without_a_true_box_left_out():
    found = [boxes(("a", SQUARE, 0.9), ("b", FAR, 0.8), ("c", SQUARE, 0.7)), boxes(("a", FAR, 0.95))]
    true = [truth(("a", SQUARE), ("b", SQUARE)), truth(("b", FAR))]
    # a: wrong, then right, of 1: 1/2. b: one wrong, of 2: 0.
    assert ap50(found, true) == pytest.approx((1 / 2 + 0) / 2)


def test_two_overlapping_objects_are_two():
    true = [truth(("a", SQUARE), ("a", (5, 0, 15, 10)))]
    assert ap50([boxes(("a", SQUARE, 0.9), ("a", (5, 0, 15, 10), 0.8))], true) == 1


def test_a_scene_without_detections_still_counts_its_true_boxes():
    found, true = [boxes(("a", SQUARE, 0.9)), boxes()], [truth(("a", SQUARE)), truth(("a", SQUARE))]
    assert ap50(found, true) == ap50_unlabelled(found, true) == pytest.approx(1 / 2)


def test_the_intervals_are_of_draws_of_whole_scenes():
    found, true = [boxes(("a", SQUARE, 0.9)), boxes()], [truth(("a", SQUARE)), truth(("a", SQUARE))]
    figures = detection_figures(found, true, samples=200)
    half = Figure(value=0.5, lower=0, upper=1)  # both scenes alike, or one of each
    assert figures.ap50 == figures.ap50_unlabelled == half
    assert (figures.scenes, figures.boxes) == (2, 2)
    assert [(point.score, point.precision, point.recall) for point in figures.points[-2:]] == [(0.9, 1, 0.5), (0.95, 0, 0)]
    assert detection_figures(found[:1], true[:1], samples=20).ap50 == Figure(value=1, lower=1, upper=1)
