from collections import Counter

import numpy as np
import pytest

from model.data.sampler import epoch_batches
from model.errors import InvalidInput

LABELS = np.repeat(np.arange(6), [5, 5, 5, 5, 5, 3])


def batches(labels=LABELS, *, classes=3, images=2, seed=0, epoch=0):
    return epoch_batches(labels, classes_per_batch=classes, images_per_class=images, seed=seed, epoch=epoch)


def test_every_batch_holds_m_images_of_each_of_its_classes():
    found = batches()
    assert found.shape == (len(LABELS) // 6, 6)
    for batch in found:
        assert sorted(Counter(LABELS[batch].tolist()).values()) == [2, 2, 2]
        assert len(set(batch.tolist())) == 6


def test_the_same_seed_and_epoch_draw_the_same_whatever_was_drawn_in_between():
    first = batches(seed=3, epoch=4)
    batches(seed=9)
    np.random.seed(1)
    np.testing.assert_array_equal(batches(seed=3, epoch=4), first)


def test_another_epoch_or_seed_draws_otherwise():
    first = batches(seed=3, epoch=4)
    assert not np.array_equal(batches(seed=3, epoch=5), first)
    assert not np.array_equal(batches(seed=4, epoch=4), first)
    assert not np.array_equal(batches(seed=4, epoch=3), first)


def test_fewer_classes_than_wanted_make_smaller_batches():
    labels = np.repeat(np.arange(2), 5)
    found = batches(labels, classes=16)
    assert found.shape == (2, 4)
    assert all(set(labels[batch].tolist()) == {0, 1} for batch in found)


def test_a_class_with_fewer_images_than_wanted_gives_some_of_them_twice():
    labels = np.array([0, 0, 0, 0, 1])
    (batch,) = batches(labels, classes=2, images=4)
    assert Counter(labels[batch].tolist()) == {0: 4, 1: 4}
    assert set(batch[labels[batch] == 1].tolist()) == {4}


def test_fewer_images_than_a_batch_still_make_a_step():
    assert batches(np.array([0, 1]), classes=2, images=4).shape == (1, 8)


def test_rows_are_rows_of_the_labels_whatever_the_labels_are_called():
    found = batches(LABELS * 10 + 7)
    assert found.min() >= 0
    assert found.max() < len(LABELS)


def test_one_class_is_refused():
    with pytest.raises(InvalidInput, match="at least two classes"):
        batches(np.zeros(8, np.int64))
