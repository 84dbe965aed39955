import numpy as np
import pytest

from model.data.manifest import read_manifest, sample_id, split_id, write_manifest

ROWS = [("a/0.png", "ant", "train", None), ("b/0.png", "bee", "test", (0.0, 0.0, 8.0, 9.5)), ("b/1.png", "bee", "test", None)]
WITHOUT = """path,label,split,xmin,ymin,xmax,ymax
a/0.png,ant,train,,,,
b/0.png,bee,test,0,0,8,9.5
b/1.png,bee,test,,,,
"""


def test_a_data_set_without_groups_has_the_bytes_it_always_had(tmp_path):
    write_manifest(tmp_path, ROWS, ["", "", ""])
    assert (tmp_path / "manifest.csv").read_text() == WITHOUT
    write_manifest(tmp_path, ROWS)
    assert (tmp_path / "manifest.csv").read_text() == WITHOUT
    assert read_manifest(tmp_path).groups.tolist() == ["", "", ""]


def test_groups_come_back_as_they_were_written_beside_boxes_and_without(tmp_path):
    write_manifest(tmp_path, ROWS, ["crawls", "flies, stings", ""])
    manifest = read_manifest(tmp_path)
    assert manifest.groups.tolist() == ["crawls", "flies, stings", ""]
    assert manifest.ids.tolist() == ["a/0.png", "b/0.png#0,0,8,9.5", "b/1.png"]
    assert [manifest.box(row) for row in range(3)] == [None, (0.0, 0.0, 8.0, 9.5), None]
    assert manifest.select(np.array([2, 1])).groups.tolist() == ["", "flies, stings"]


def test_samples_are_grouped_by_class_where_no_one_names_a_group(tmp_path):
    write_manifest(tmp_path, ROWS)
    assert read_manifest(tmp_path).grouping.tolist() == ["ant", "bee", "bee"]


def test_a_sample_without_a_group_among_others_that_have_one_is_in_none(tmp_path):
    write_manifest(tmp_path, ROWS, ["crawls", "flies", ""])
    assert read_manifest(tmp_path).grouping.tolist() == ["crawls", "flies", "(no group)"]


@pytest.mark.parametrize("path", ["a/1.jpg", "a#b/1.jpg", "a#1,2.jpg"])
@pytest.mark.parametrize("box", [None, (1.5, 2.0, 30.25, 1e6)])
def test_an_id_is_split_into_the_path_and_the_box_that_it_was_made_of(path, box):
    made = sample_id(path, np.float32(box or (np.nan,) * 4))
    assert split_id(made) == (path, box)
