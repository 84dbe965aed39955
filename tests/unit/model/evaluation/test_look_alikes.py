"""Suspicious labels and near duplicates, on vectors placed by hand."""

import numpy as np
import pytest

from model.errors import InvalidInput
from model.evaluation.look_alikes import find_look_alikes, nearest_entries
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery


def on_circle(*entries: tuple[float, str]) -> LocalGallery:
    """A gallery of unit vectors in the plane, each an angle in degrees and a label; ids are `0`, `1`, ..."""
    angles = np.radians([angle for angle, _ in entries])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    classes, labels = np.unique([label for _, label in entries], return_inverse=True)
    return LocalGallery(vectors, Entries.of(labels.astype(np.int64), map(str, range(len(entries))), classes.tolist()))


CATS = [(angle, "cat") for angle in (0, 3, 6, 9)]
DOGS = [(angle, "dog") for angle in (90, 93, 96, 99)]


def test_a_label_that_its_neighbours_contradict_is_suspicious():
    found = find_look_alikes(on_circle(*CATS, *DOGS, (92, "cat")))
    (only,) = found.labels
    assert (only.id, only.label, only.suggested, only.suggesting, only.agreeing) == ("8", "cat", "dog", 4, 0)
    assert [each.id for each in only.neighbours] == ["5", "4", "6", "7"]  # 1, 2, 4 and 7 degrees away: cats have 4 others
    assert only.neighbours[0].score == pytest.approx(np.cos(np.radians(1)), abs=1e-5)
    assert (found.suspicious, found.entries, found.looked_at, found.not_judged) == (1, 9, 9, 0)


def test_labels_that_agree_are_not_suspicious():
    assert find_look_alikes(on_circle(*CATS, *DOGS)).labels == ()


def test_a_class_of_two_is_not_judged():
    found = find_look_alikes(on_circle(*CATS, (1, "fox"), (91, "fox"), *DOGS))
    assert "fox" not in {each.label for each in found.labels}
    assert found.not_judged == 2


def test_neighbours_of_many_labels_contradict_nothing():
    mixed = on_circle((0, "a"), (2, "b"), (3, "c"), (4, "d"), (90, "a"), (94, "a"), (98, "a"), (170, "b"), (175, "c"), (180, "d"))
    assert "0" not in {each.id for each in find_look_alikes(mixed).labels}  # no label has more than half


def test_near_duplicates_of_two_labels_come_first():
    found = find_look_alikes(on_circle((0, "cat"), (0.5, "cat"), (90, "dog"), (91, "cow"), (150, "hen")), same=0.999)
    assert [(pair.one, pair.other, pair.labels) for pair in found.pairs] == [
        ("2", "3", ("dog", "cow")),
        ("0", "1", ("cat", "cat")),
    ]
    assert found.duplicates == 2


def test_each_pair_is_named_once_and_no_entry_is_its_own_duplicate():
    found = find_look_alikes(on_circle((0, "a"), (0, "a"), (0, "a")))
    assert sorted((pair.one, pair.other) for pair in found.pairs) == [("0", "1"), ("0", "2"), ("1", "2")]


def test_of_a_large_gallery_some_entries_are_looked_at_and_that_is_said():
    told = []
    gallery = on_circle(*((number / 10, "a") for number in range(1000)))
    found = find_look_alikes(gallery, most=100, progress=lambda done, total, what: told.append((done, total)))
    assert (found.entries, found.looked_at) == (1000, 100)
    assert told == [(100, 100)]


def test_an_empty_gallery_and_one_of_a_single_entry_have_nothing():
    assert find_look_alikes(on_circle((0, "a"))).pairs == ()
    empty = LocalGallery(np.zeros((0, 2), np.float32), Entries.of(np.zeros(0, np.int64), [], []))
    assert find_look_alikes(empty).looked_at == 0


def test_the_nearest_entries_leave_the_example_itself_out():
    gallery = on_circle((0, "a"), (10, "b"), (20, "c"), (80, "d"))
    found = nearest_entries(gallery, gallery.vectors[1], 2, besides=1)
    assert [each.id for each in found] == ["0", "2"]
    assert [each.id for each in nearest_entries(gallery, gallery.vectors[1], 1)] == ["1"]
    with pytest.raises(InvalidInput):
        nearest_entries(gallery, np.array([3, 4], np.float32), 1)
