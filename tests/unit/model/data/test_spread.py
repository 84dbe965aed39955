import numpy as np

from model.data.spread import spread


def test_a_sample_takes_one_of_each_class_before_a_second_of_any():
    labels = np.array([0] * 10 + [1] * 2 + [2])
    assert sorted(labels[spread(labels, 3)]) == [0, 1, 2]
    assert sorted(labels[spread(labels, 5)]) == [0, 0, 1, 1, 2]
    assert sorted(spread(labels, 99)) == list(range(13))
