from pathlib import Path

import pytest

from model.data.importing.columns import find_columns, recognised
from model.data.importing.findings import Findings
from model.errors import InvalidInput

TABLE = Path("table.csv")


def columns(header, findings=None):
    return find_columns(header.split(","), TABLE, findings if findings is not None else Findings())


def said(header):
    findings = Findings()
    columns(header, findings)
    assert findings.defects == []
    return {found.kind: found.text for found in findings.warnings}


def refusal(header):
    with pytest.raises(InvalidInput) as caught:
        columns(header)
    assert caught.value.hint
    return str(caught.value)


def test_our_own_names_are_read_without_a_word():
    found = columns("file,label,split,group,xmin,ymin,xmax,ymax")
    assert (found.file, found.label, found.split, found.group) == (0, 1, 2, 3)
    assert (found.box.columns, found.box.form) == ((4, 5, 6, 7), "corners")
    assert said("file,label,split,group,xmin,ymin,xmax,ymax") == said("Path, Label ,XMIN,y_min,x-max,YMax") == {}


@pytest.mark.parametrize(
    "name", ["filename", "file_name", "image_path", "ImageName", "img", "filepath", "image", "relpath", "photo", "fname"]
)
def test_usual_names_of_files_are_taken_and_named(name):
    assert columns(f"label,{name}").file == 1
    assert said(f"label,{name}") == {"columns": f"read {name} as file"}


@pytest.mark.parametrize(
    "name", ["class", "class_name", "category", "target", "product_id", "species", "identity", "labels", "pid"]
)
def test_usual_names_of_labels_are_taken_and_named(name):
    assert columns(f"file,{name}").label == 1
    assert said(f"file,{name}") == {"columns": f"read {name} as label"}


@pytest.mark.parametrize("name", ["subset", "partition", "set", "Set"])
def test_usual_names_of_splits_are_taken_and_named(name):
    assert columns(f"file,label,{name}").split == 2
    assert said(f"file,label,{name}") == {"columns": f"read {name} as split"}


@pytest.mark.parametrize(
    ("header", "numbers", "form"),
    [
        ("x_1,y_1,x_2,y_2", (2, 3, 4, 5), "corners"),
        ("x1,x2,y1,y2", (2, 4, 3, 5), "corners"),
        ("x0,y0,x1,y1", (2, 3, 4, 5), "corners"),
        ("XMin,XMax,YMin,YMax", (2, 4, 3, 5), "corners"),
        ("left,top,right,bottom", (2, 3, 4, 5), "corners"),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", (2, 3, 4, 5), "corners"),
        ("box.xmin,box.ymin,box.xmax,box.ymax", (2, 3, 4, 5), "corners"),
        ("xtl,ytl,xbr,ybr", (2, 3, 4, 5), "corners"),
        ("x,y,w,h", (2, 3, 4, 5), "size"),
        ("bbox_x,bbox_y,bbox_width,bbox_height", (2, 3, 4, 5), "size"),
        ("left,top,width,height", (2, 3, 4, 5), "size"),
        ("x_center,y_center,width,height", (2, 3, 4, 5), "center"),
        ("cx,cy,w,h", (2, 3, 4, 5), "center"),
    ],
)
def test_usual_names_of_boxes_are_taken_by_their_meaning(header, numbers, form):
    found = columns(f"file,label,{header}").box
    assert (found.columns, found.form) == (numbers, form)
    assert set(said(f"file,label,{header}")) == ({"columns"} if header != "XMin,XMax,YMin,YMax" else set())


def test_how_boxes_are_read_is_said():
    assert said("file,label,cx,cy,w,h") == {"columns": "read cx, cy, w, h as the x and y of the center, width, height"}
    assert said("file,label,x,y,w,h") == {"columns": "read x, y, w, h as xmin, ymin, width, height"}
    assert said("file,label,x_1,y_1,x_2,y_2") == {"columns": "read x_1, y_1, x_2, y_2 as xmin, ymin, xmax, ymax"}


def test_width_and_height_of_the_image_beside_corners_are_no_box():
    found = columns("file,label,width,height,xmin,ymin,xmax,ymax")
    assert (found.box.columns, found.box.form) == ((4, 5, 6, 7), "corners")
    assert columns("file,label,width,height").box is None
    assert said("file,label,width,height") == {"columns not read": "width, height"}


def test_columns_that_are_not_read_are_named_also_those_without_a_name():
    assert said("file,label,colour,,note") == {"columns not read": "colour, column 4, which has no name, note"}


@pytest.mark.parametrize(
    "header", ["xmin,ymin", "x1,y1,x2", "bbox", "bndbox", "boxes", "x_center,y_center", "xmin,ymin,xmax,y_maximum"]
)
def test_a_box_that_is_incomplete_is_refused_and_never_ignored(header):
    text = refusal(f"file,label,{header}")
    assert header.split(",", maxsplit=1)[0] in text
    assert "xmin,ymin,xmax,ymax" in text


@pytest.mark.parametrize(
    ("header", "doubled"),
    [
        ("file,file,label", "file, file"),
        ("file,label,label", "label, label"),
        ("file,label,Label", "label, Label"),
        ("filename,image_path,label", "filename, image_path"),
        ("file,class,category", "class, category"),
        ("file,label,split,split", "split, split"),
        ("file,label,group,group", "group, group"),
        ("file,label,xmin,ymin,xmax,ymax,ymax", "ymax, ymax"),
    ],
)
def test_two_columns_of_one_meaning_are_refused_by_name(header, doubled):
    assert doubled in refusal(header)


def test_our_name_goes_before_another():
    found = columns("filename,file,class,label")
    assert (found.file, found.label) == (1, 3)
    assert said("filename,file,class,label") == {"columns not read": "filename, class"}


def test_boxes_under_two_names_are_refused():
    assert "boxes twice" in refusal("file,label,xmin,ymin,xmax,ymax,left,top,right,bottom")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("name,label", "no column file"),
        ("file,number", "no column label"),
        ("a,b", "no column file and no column label; its first line has: a, b"),
        ("shelf/1.jpg,oats", "its first line names an image. Put a header above it"),
        ("file;label", "its first line has: file;label"),
    ],
)
def test_a_header_without_what_is_needed_is_refused_with_what_it_has(header, text):
    assert text in refusal(header)


def test_known_names_are_counted_to_find_the_separator():
    assert recognised(["file", "label", "xmin", "bbox_ymax", "colour"]) == 4
