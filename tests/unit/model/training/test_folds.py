"""Folds of drawn-up manifests: which rows are trained on and which are held out."""

from pathlib import Path

import numpy as np
import pytest

from model.data.manifest import Manifest
from model.training import folds
from model.training.folds import HELD_OUT_IMAGES, class_folds


def manifest(train: dict[int, int], val: dict[int, int] | None = None, test: dict[int, int] | None = None) -> Manifest:
    """A manifest of so many images of each class, by split; the rows of a class are not together."""
    rows = [
        (label, split)
        for split, counts in (("train", train), ("val", val or {}), ("test", test or {}))
        for label, count in counts.items()
        for _ in range(count)
    ]
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    labels, splits = np.array([label for label, _ in rows]), np.array([split for _, split in rows])
    paths = np.array([f"{number}.jpg" for number in range(len(rows))])
    boxes, classes = np.full((len(rows), 4), np.nan, dtype=np.float32), tuple(map(str, range(labels.max() + 1)))
    return Manifest(Path(), paths, labels.astype(np.int64), splits, boxes, classes, np.full(len(rows), ""))


def each(labels: range, count: int = 3) -> dict[int, int]:
    return dict.fromkeys(labels, count)


DATA = manifest(each(range(8)), each(range(8, 11)), each(range(11, 15)))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_class_is_held_out_once_and_never_trained_on_in_its_fold(count):
    found = class_folds(DATA, count, seed=0)
    assert len(found) == count
    for fold in found:
        inside, outside = set(DATA.labels[fold.train]), set(DATA.labels[fold.held_out])
        assert not inside & outside
        assert inside | outside == set(range(11)), "all training and validation classes, and no other"
        assert len(inside) >= 2
        assert len(outside) >= 2
    held_out = np.concatenate([fold.held_out for fold in found])
    assert sorted(held_out) == sorted([*DATA.rows("train"), *DATA.rows("val")])


def test_one_fold_is_the_split_of_the_data():
    (fold,) = class_folds(DATA, 1, seed=0)
    assert fold.train.tolist() == DATA.rows("train").tolist()
    assert fold.held_out.tolist() == DATA.rows("val").tolist()


def test_the_seed_alone_says_which_classes_come_together():
    one, again, other = (class_folds(DATA, 3, seed) for seed in (0, 0, 1))
    for fold, same in zip(one, again, strict=True):
        assert fold.train.tolist() == same.train.tolist()
        assert fold.held_out.tolist() == same.held_out.tolist()
    assert any(fold.held_out.tolist() != changed.held_out.tolist() for fold, changed in zip(one, other, strict=True))


@pytest.mark.parametrize(("classes", "folds"), [(2, 0), (3, 0), (4, 2), (5, 2), (6, 3), (9, 3)])
def test_few_classes_give_fewer_folds_or_none(classes, folds):
    found = class_folds(manifest(each(range(classes))), 3, seed=0)
    assert len(found) == folds


@pytest.mark.parametrize(
    ("val", "folds"),
    [({}, 0), ({4: 3}, 0), ({4: 1, 5: 1}, 0), ({4: 2, 5: 1}, 1)],
    ids=["no class", "one class", "one image each", "one image that can be found"],
)
def test_one_fold_needs_two_validation_classes_and_an_image_that_can_be_found(val, folds):
    assert len(class_folds(manifest(each(range(4)), val), 1, seed=0)) == folds


def test_classes_of_one_image_each_are_no_fold():
    assert class_folds(manifest(each(range(9), 1)), 3, seed=0) == []


def test_the_limit_of_queries_keeps_whole_classes_in_even_steps(monkeypatch):
    monkeypatch.setattr(folds, "HELD_OUT_IMAGES", 12)
    data = manifest(each(range(4)), each(range(4, 14)))
    (fold,) = class_folds(data, 1, seed=0)
    kept, counts = np.unique(data.labels[fold.held_out], return_counts=True)
    assert counts.tolist() == [3, 3, 3, 3]
    assert kept.tolist() == [4, 7, 10, 13]
    assert len(fold.train) == 12, "training is not limited"


def test_the_limit_of_queries_keeps_two_classes_of_any_size(monkeypatch):
    monkeypatch.setattr(folds, "HELD_OUT_IMAGES", 2)
    (fold,) = class_folds(manifest(each(range(4)), each(range(4, 9), 10)), 1, seed=0)
    assert len(fold.held_out) == 20


def test_as_many_queries_as_the_limit_are_all_kept():
    data = manifest(each(range(2)), each(range(2, 6), HELD_OUT_IMAGES // 4))
    (fold,) = class_folds(data, 1, seed=0)
    assert len(fold.held_out) == HELD_OUT_IMAGES
