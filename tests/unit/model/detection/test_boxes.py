import numpy as np
import pytest

from model.detection.boxes import areas, bounds, clipped, overlaps, weighted_median


def test_overlap_is_the_common_area_over_the_joined_one():
    one = np.array([[0, 0, 10, 10], [0, 0, 0, 5]], float)
    other = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]], float)
    assert overlaps(one, other)[0].tolist() == pytest.approx([1 / 3, 1, 0])
    assert overlaps(one, other)[1].tolist() == [0, 0, 0]  # an empty box overlaps nothing


def test_a_box_turned_inside_out_has_no_area():
    assert areas(np.array([[0, 0, 2, 3], [2, 0, 0, 3]])).tolist() == [6, 0]


def test_boxes_are_cut_at_the_border():
    assert clipped(np.array([[-5.0, 2, 50, 70]]), 40, 30).tolist() == [[0, 2, 40, 30]]


def test_bounds_are_the_upright_box_of_a_polygon():
    assert bounds(np.array([[[1.0, 5], [4, 2], [3, 9]]])).tolist() == [[1, 2, 4, 9]]


def test_the_weighted_median_of_each_column():
    values = np.array([[1.0, 30], [2, 20], [3, 10]])
    assert weighted_median(values, np.array([1.0, 1, 1])).tolist() == [2, 20]
    assert weighted_median(values, np.array([1.0, 1, 5])).tolist() == [3, 10]
