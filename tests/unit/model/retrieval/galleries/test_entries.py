import numpy as np
import pytest

from model.errors import InvalidInput
from model.retrieval.galleries.entries import Entries, Texts

GROUPS = np.array(["night", "", "day", "night"])


def entries(groups=GROUPS):
    return Entries.of(np.array([0, 1, 0, 1]), ["a.jpg", "b.jpg", "ü/c.jpg", ""], ("ant", "bee"), groups)


def test_an_entry_has_an_id_and_a_class():
    assert [entries().id_of(row) for row in range(4)] == ["a.jpg", "b.jpg", "ü/c.jpg", ""]
    assert [entries().label_of(row) for row in range(4)] == ["ant", "bee", "ant", "bee"]
    assert entries().ids.as_array().tolist() == ["a.jpg", "b.jpg", "ü/c.jpg", ""]


def test_rows_are_those_of_a_class_of_a_group_or_of_both():
    assert entries().rows() is None
    assert entries().rows(label="bee").tolist() == [1, 3]
    assert entries().rows(group="night").tolist() == [0, 3]
    assert entries().rows(label="bee", group="night").tolist() == [3]
    assert entries().rows(label="bee", group="day").tolist() == []


@pytest.mark.parametrize("group", ["", "dawn"])
def test_an_unknown_class_or_group_is_refused(group):
    with pytest.raises(InvalidInput, match="no label 'bea'") as caught:
        entries().rows(label="bea")
    assert "'bee'" in caught.value.hint
    with pytest.raises(InvalidInput, match="no group"):
        entries().rows(group=group)
    with pytest.raises(InvalidInput, match="no group"):
        entries(groups=None).rows(group="night")


@pytest.mark.parametrize("groups", [GROUPS, None])
def test_what_was_saved_comes_back(tmp_path, groups):
    saved = entries(groups)
    saved.save(tmp_path)
    loaded = Entries.load(tmp_path, saved.classes, None if groups is None else saved.group_names)
    assert loaded.labels.tolist() == saved.labels.tolist()
    assert loaded.ids.as_array().tolist() == saved.ids.as_array().tolist()
    assert groups is None or loaded.rows(group="night").tolist() == [0, 3]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("labels", np.array([0, 1, 2, 1])),
        ("labels", np.array([0, 1, -1, 1])),
        ("groups", np.array([0, 1, 3, 1], np.int32)),
        ("id_ends", np.array([5, 10, 19, 18])),
        ("id_ends", np.array([5, 10, 17, 17])),
        ("id_ends", np.array([-5, 10, 18, 18])),
        ("id_ends", np.array([5, 10, 18])),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path, name, values):
    saved = entries()
    saved.save(tmp_path)
    np.save(tmp_path / f"{name}.npy", values)
    with pytest.raises(InvalidInput, match=r"damaged|equally many"):
        Entries.load(tmp_path, saved.classes, saved.group_names)


def test_an_end_within_a_letter_is_no_error():
    assert Texts(np.frombuffer("ü".encode(), np.uint8), np.array([1, 2]))[0] == "\ufffd"
