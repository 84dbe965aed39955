import math

import numpy as np
import pytest
from scipy import stats

from model.evaluation.one_sided import group_upper_bounds, lower_bound

LEVEL = 0.05


def test_the_bound_of_few_classes_is_that_of_students_t_on_their_means():
    differences = np.repeat([0.1, 0.2, 0.3, 0.4], 5)
    classes = np.repeat([0, 1, 2, 3], 5)
    error = np.std([0.1, 0.2, 0.3, 0.4], ddof=1) / 2  # of the mean of four equally large classes
    expected = 0.25 - stats.t.ppf(1 - LEVEL, 3) * error
    assert lower_bound(differences, classes, level=LEVEL) == pytest.approx(expected)


def test_more_queries_of_the_same_classes_are_no_more_evidence():
    few, many = ((np.repeat([0.0, 0.3, 0.1], n), np.repeat([0, 1, 2], n)) for n in (2, 200))
    assert lower_bound(*few, level=LEVEL) == pytest.approx(lower_bound(*many, level=LEVEL))


def test_the_queries_of_a_single_class_are_the_units():
    differences = np.array([0.1, 0.2, 0.3])
    error = np.std(differences, ddof=1) / math.sqrt(3)
    assert lower_bound(differences, np.zeros(3, int), level=LEVEL) == pytest.approx(0.2 - stats.t.ppf(1 - LEVEL, 2) * error)


def test_equal_differences_leave_no_doubt_and_a_single_one_leaves_all():
    assert lower_bound(np.full(6, 0.125), np.repeat([0, 1, 2], 2), level=LEVEL) == 0.125
    assert lower_bound(np.array([0.5]), np.array([3]), level=LEVEL) == -math.inf


@pytest.mark.parametrize("differences", [[], [0.1, math.nan], [0.1, math.inf]])
def test_what_is_not_finite_or_not_there_has_no_bound(differences):
    assert math.isnan(lower_bound(np.array(differences), np.arange(len(differences)), level=LEVEL))


def test_classes_vary_alike_in_all_groups_and_the_level_is_shared_by_them():
    differences = np.repeat([0.0, 0.2, -0.5, -0.3], 4)  # groups of two classes, with means 0.1 and -0.4
    classes, groups = np.repeat([0, 1, 2, 3], 4), np.repeat([0, 0, 1, 1], 4)
    variance = 4 * 0.1**2 / 2  # each class is 0.1 from the mean of its group; 4 classes - 2 groups
    width = stats.t.ppf(1 - LEVEL / 2, 2) * math.sqrt(variance / 2)
    assert group_upper_bounds(differences, classes, groups, level=LEVEL) == pytest.approx([0.1 + width, -0.4 + width])


def test_where_every_group_is_one_class_its_queries_are_the_units():
    differences = np.array([0.0, 0.2, -0.5, -0.3])
    groups = np.array([0, 0, 1, 1])
    width = stats.t.ppf(1 - LEVEL / 2, 2) * math.sqrt(4 * 0.1**2 / 2 / 2)
    assert group_upper_bounds(differences, groups + 5, groups, level=LEVEL) == pytest.approx([0.1 + width, -0.4 + width])


def test_a_group_that_is_not_finite_has_no_bound_and_spoils_no_other():
    differences = np.array([0.0, 0.2, -0.5, -0.3, math.nan, 0.1])
    groups = np.array([0, 0, 1, 1, 2, 2])
    bounds = group_upper_bounds(differences, groups, groups, level=LEVEL)
    assert math.isnan(bounds[2])
    assert np.isfinite(bounds[:2]).all()


def test_single_queries_show_nothing():
    assert group_upper_bounds(np.array([0.1, -0.9]), np.array([0, 1]), np.array([0, 1]), level=LEVEL).tolist() == [math.inf] * 2
