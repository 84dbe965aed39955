"""Rows of a CSV: which become samples, and in which words the others are refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.importing.findings import Findings
from model.data.importing.listing import Listing
from model.data.importing.splits import UNSET
from model.data.importing.tables import find_table, list_table
from model.data.manifest import SPLITS
from model.errors import InvalidInput, NotFound

EXTENTS = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2, unique=True)


@pytest.fixture
def root(tmp_path):
    """A folder with three files; listing opens none of them."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


class Listed:
    """What a table becomes."""

    def __init__(self, root: Path, text: str, **settings: str):
        (root / "t.csv").write_text(text, encoding="utf-8")
        self.findings = Findings()
        self.listing: Listing = list_table(root, root / "t.csv", self.findings, **settings)

    @property
    def samples(self) -> list[tuple[str, str]]:
        listing = self.listing
        return [(listing.files[file], listing.labels[label]) for file, label in zip(listing.file, listing.label, strict=True)]

    @property
    def boxes(self) -> list[list[float]]:
        return np.round(self.listing.box_array.astype(float), 4).tolist()

    @property
    def splits(self) -> list[str]:
        return [SPLITS[side] if side != UNSET else "" for side in self.listing.given]

    @property
    def defects(self) -> list[tuple[str, str, str]]:
        return [(found.kind, found.name, found.text) for found in self.findings.defects]


def test_rows_that_say_the_same_are_one_sample_and_are_named(root):
    listed = Listed(root, "file,label\na.jpg,x\nb.jpg,x\na.jpg,x\n")
    assert listed.samples == [("a.jpg", "x"), ("b.jpg", "x")]
    assert [str(found) for found in listed.findings.warnings] == [
        "listed twice: t.csv, line 4: line 2 says the same; it is kept once"
    ]


@pytest.mark.parametrize(
    ("column", "first", "second", "said"),
    [
        ("split", "train", "test", "split is test here and train in line 2, for a.jpg; remove one row"),
        ("split", "train", "", "split is empty here and train in line 2, for a.jpg; remove one row"),
        ("split", "", "val", "split is val here and empty in line 2, for a.jpg; remove one row"),
        ("group", "mugs", "cups", "group is cups here and mugs in line 2, for a.jpg; remove one row"),
        ("group", "", "cups", "group is cups here and empty in line 2, for a.jpg; remove one row"),
    ],
)
def test_rows_that_differ_only_in_split_or_group_contradict_each_other(root, column, first, second, said):
    listed = Listed(root, f"file,label,{column}\na.jpg,x,{first}\na.jpg,x,{second}\n")
    assert listed.defects == [("contradiction", "t.csv, line 3", said)]
    assert listed.findings.warnings == []


def test_two_lists_put_together_are_refused_row_by_row_and_never_halved(root):
    rows = [f"{name}.jpg,{name},{split}" for split in ("train", "test") for name in "abc"]
    listed = Listed(root, "\n".join(["file,label,split", *rows]))
    assert [kind for kind, *_ in listed.defects] == ["contradiction"] * 3


def test_other_words_for_a_split_are_taken_and_unknown_ones_named(root):
    listed = Listed(root, "file,label,split\na.jpg,x,Training\nb.jpg,x,TEST\nc.jpg,x,validation\na.jpg,y,\nb.jpg,y,exam\n")
    assert listed.splits == ["train", "test", "val", ""]
    assert listed.defects == [
        ("no such split", "t.csv, line 6", "'exam' in the column split is none of train, val, test, scene, distractor")
    ]


def test_two_boxes_in_one_image_are_two_samples_and_one_box_twice_is_one(root):
    rows = ["a.jpg,x,0,0,10,10", "a.jpg,x,5,5,20,20", "a.jpg,x,0.0,0,10,10.0", "a.jpg,x,,,,"]
    listed = Listed(root, "\n".join(["file,label,xmin,ymin,xmax,ymax", *rows]))
    assert listed.boxes[:2] == [[0, 0, 10, 10], [5, 5, 20, 20]]
    assert np.isnan(listed.boxes[2]).all()
    assert [found.kind for found in listed.findings.warnings] == ["listed twice"]


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("xmin,ymin,xmax,ymax", "10,20,40,60"),
        ("x_1,y_1,x_2,y_2", "10,20,40,60"),
        ("x1,x2,y1,y2", "10,40,20,60"),
        ("x,y,w,h", "10,20,30,40"),
        ("left,top,width,height", "10,20,30,40"),
        ("x_center,y_center,width,height", "25,40,30,40"),
    ],
)
def test_every_way_to_write_a_box_gives_the_same_corners(root, columns, values):
    assert Listed(root, f"file,label,{columns}\na.jpg,x,{values}\n").boxes == [[10, 20, 40, 60]]


def test_boxes_between_0_and_1_are_no_pixels_and_the_setting_is_named(root):
    for columns, values in (("xmin,ymin,xmax,ymax", "0.1,0.1,0.9,0.9"), ("x_center,y_center,width,height", "0.5,0.5,1,1")):
        with pytest.raises(InvalidInput, match="between 0 and 1") as caught:
            Listed(root, f"file,label,{columns}\na.jpg,x,{values}\nb.jpg,x,,,,\n")
        assert "data.boxes=normalised" in caught.value.hint


@settings(max_examples=50, deadline=None)
@given(xs=EXTENTS, ys=EXTENTS)
def test_normalised_boxes_are_taken_with_the_setting(xs, ys, tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    (root / "a.jpg").touch()
    (left, right), (top, bottom) = sorted(xs), sorted(ys)
    listed = Listed(root, f"file,label,xmin,ymin,xmax,ymax\na.jpg,x,{left!r},{top!r},{right!r},{bottom!r}\n", boxes="normalised")
    assert listed.defects == []
    assert np.allclose(listed.listing.box_array, [[left, top, right, bottom]])


def test_a_box_in_pixels_among_normalised_ones_is_named_and_rounding_is_cut_off(root):
    rows = ["a.jpg,x,10,10,40,40", "b.jpg,x,-0.00001,0,1.00001,1", "c.jpg,x,0,0,1.2,1"]
    listed = Listed(root, "\n".join(["file,label,xmin,ymin,xmax,ymax", *rows]), boxes="normalised")
    assert [(kind, where) for kind, where, _ in listed.defects] == [("bad box", "t.csv, line 2"), ("bad box", "t.csv, line 4")]
    assert "data.boxes is normalised" in listed.defects[0][2]
    assert listed.boxes == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ("10,20,5,60", "is empty"),
        ("10,20,10,60", "is empty"),
        ("nan,0,1,1", "is not finite"),
        ("0,0,inf,1", "is not finite"),
        ("1,2,3,", "needs four numbers"),
        ("1,2,3,four", "needs four numbers with decimal points in the columns xmin, ymin, xmax, ymax, and not 1, 2, 3, four"),
        ('"1,5",2,3,4', "decimal points"),
    ],
)
def test_what_is_no_box_is_named_by_row_and_columns(root, box, said):
    listed = Listed(root, f"file,label,xmin,ymin,xmax,ymax\na.jpg,x,{box}\nb.jpg,y,0,0,50,50\n")
    ((kind, where, text),) = listed.defects
    assert (kind, where) == ("bad box", "t.csv, line 2")
    assert said in text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.jpg", "it has 1 values, and the header has 2 columns"),
        ("a.jpg,x,y", "it has 3 values, and the header has 2 columns; add or remove commas, or quote the value"),
    ],
)
def test_a_ragged_row_is_named(root, row, said):
    listed = Listed(root, f"file,label\n{row}\nb.jpg,x\n")
    ((kind, where, text),) = listed.defects
    assert (kind, where) == ("ragged row", "t.csv, line 2")
    assert said in text
    assert listed.samples == [("b.jpg", "x")]


def test_commas_behind_the_last_column_and_blank_lines_are_no_defect(root):
    listed = Listed(root, "file,label\n\na.jpg,x,,,\n   \n,\nb.jpg,y, \n\n")
    assert listed.samples == [("a.jpg", "x"), ("b.jpg", "y")]
    assert listed.defects == []


def test_empty_values_are_named_by_row_and_column(root):
    listed = Listed(root, "image_path,class,group\n,x,g\na.jpg,  ,g\nb.jpg,y,\n")
    assert listed.defects == [
        ("no file", "t.csv, line 2", "the column image_path is empty; fill it, or remove the row"),
        ("no label", "t.csv, line 3", "the column class is empty; fill it, or remove the row"),
    ]
    assert listed.samples == [("b.jpg", "y")]


def test_a_table_without_rows_or_without_anything_is_refused(root):
    for text in ("file,label\n", "file,label", "file,label\n\n,\n"):
        with pytest.raises(InvalidInput, match="no rows") as caught:
            Listed(root, text)
        assert caught.value.hint
    with pytest.raises(InvalidInput, match="is empty"):
        Listed(root, "")


def test_labels_in_two_unicode_forms_are_named(root):
    listed = Listed(root, "file,label\na.jpg,K\u00e4se\nb.jpg,Ka\u0308se\n")
    assert [kind for kind, *_ in listed.defects] == ["same class name"]


def test_labels_are_what_they_say_without_the_blanks_around_them(root):
    assert Listed(root, "file, label\n a.jpg , x y \nb.jpg,x y\n").samples == [("a.jpg", "x y"), ("b.jpg", "x y")]


def test_a_label_that_cannot_be_stored_is_named(root):
    listed = Listed(root, 'file,label\na.jpg,"two\nlines"\nb.jpg,' + "x" * 256 + "\n")
    assert [(kind, where.split(":")[0]) for kind, where, _ in listed.defects] == [
        ("invalid name", "t.csv, line 2"),
        ("invalid name", "t.csv, line 4"),
    ]


def test_a_long_value_in_a_column_that_is_not_read_is_no_matter(root):
    listed = Listed(root, f"file,label,mask\na.jpg,x,{'7' * 500_000}\n")
    assert (listed.samples, listed.defects) == ([("a.jpg", "x")], [])


def test_a_table_is_the_one_given_or_the_manifest_in_the_folder(root):
    assert find_table(root, None) is None
    (root / "manifest.csv").touch()
    assert find_table(root, None) == root / "manifest.csv"
    with pytest.raises(NotFound, match=r"none\.csv"):
        find_table(root, root / "none.csv")
