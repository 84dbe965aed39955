"""Which queries a sample holds, and MAP@R of a ranking by hand."""

import numpy as np
import pytest

from benchmarks.reranking import map_at_r, spread


def test_a_sample_takes_one_of_each_class_before_a_second_of_any():
    labels = np.array([0] * 10 + [1] * 2 + [2])
    assert sorted(labels[spread(labels, 3)]) == [0, 1, 2]
    assert sorted(labels[spread(labels, 5)]) == [0, 0, 1, 1, 2]
    assert sorted(spread(labels, 99)) == list(range(13))


def test_map_at_r_by_hand():
    # R = 3: right at places 1 and 3, precisions 1/1 and 2/3; what comes later counts for nothing
    assert map_at_r(np.array([True, False, True, True]), 3) == pytest.approx((1 + 2 / 3) / 3)
