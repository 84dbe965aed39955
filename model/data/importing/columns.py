"""The columns of a table, recognised by the usual names of files, labels, splits and boxes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.data.decoding.suffixes import SUFFIXES
from model.data.importing.findings import Findings
from model.data.manifest import GROUP
from model.errors import InvalidInput
from model.text import excerpt

Form = Literal["corners", "size", "center"]
_FILE = ("file", "path")
_FILE_ALIASES = {
    *("filename", "filepath", "filenames", "filepaths", "fname", "relativepath", "relpath", "fullpath", "paths", "files"),
    *("image", "imagepath", "imagefile", "imagefilename", "imagefilepath", "imagename", "images", "photo", "photopath"),
    *("img", "imgpath", "imgfile", "imgfilename", "imgname", "picture"),
}
_LABEL = ("label",)
_LABEL_ALIASES = {
    *("labels", "labelname", "labelid", "class", "classname", "classlabel", "classid", "classes"),
    *("category", "categoryname", "categoryid", "target", "targetname", "targetid"),
    *("identity", "pid", "personid", "individual", "individualid", "productid", "species"),
}
_SPLIT = ("split",)
_SPLIT_ALIASES = {"subset", "partition", "set"}
_WIDTHS, _HEIGHTS = ("w", "width"), ("h", "height")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("minx", "miny", "maxx", "maxy"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("startx", "starty", "endx", "endy"),
)
_CENTERS = (("xcenter", "ycenter"), ("centerx", "centery"), ("cx", "cy"))
_ORIGINS = (("x", "y"), ("left", "top"), ("xmin", "ymin"), ("x1", "y1"), ("x0", "y0"))
_BOX_PREFIX = re.compile(r"^(boundingbox|bndbox|bbox|box|roi|rect|bb)(?=[a-z])")
_WHOLE_BOXES = {"bbox", "bboxes", "box", "boxes", "boundingbox", "boundingboxes", "bndbox", "roi", "rect"}
_PLAIN_WORDS = {"left", "top", "right", "bottom", "x", "y", "w", "h", "width", "height"}
"""Names that stand for a part of a box in some tables and for something else in others."""
_READ_AS = {
    "corners": "xmin, ymin, xmax, ymax",
    "size": "xmin, ymin, width, height",
    "center": "the x and y of the center, width, height",
}


@dataclass(frozen=True)
class BoxColumns:
    """The four columns of a box.

    Attributes:
        columns: Number of each column.
        form: Meaning of the four: two corners, a corner and the size, or the center and the size.
    """

    columns: tuple[int, int, int, int]
    form: Form


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        names: Every column's name as the header has it.
        file: Number of the column of the image's file.
        label: Number of the column of the class.
        split: Number of the column of the side of the split; None where there is none.
        group: Number of the column of the group; None where there is none.
        box: Columns of the boxes; None where there are none.
    """

    names: tuple[str, ...]
    file: int
    label: int
    split: int | None
    group: int | None
    box: BoxColumns | None


def recognised(names: Sequence[str]) -> int:
    """Number of names in a header that are known."""
    known = {*_FILE, *_FILE_ALIASES, *_LABEL, *_LABEL_ALIASES, *_SPLIT, *_SPLIT_ALIASES, GROUP, *sum(_CORNERS, ())}
    return sum(_squeezed(name) in known or _box_word(name) in known for name in names)


def find_columns(names: Sequence[str], table: Path, findings: Findings) -> Columns:
    """Find the columns of a header. Warnings name the columns that are read under another usual name, and those not read.

    Raises:
        InvalidInput: A needed column is missing, there are two of one meaning, or the box columns are incomplete.
    """
    squeezed = [_squeezed(name) for name in names]
    file = _one(squeezed, names, _FILE, _FILE_ALIASES, "file", table)
    label = _one(squeezed, names, _LABEL, _LABEL_ALIASES, "label", table)
    if file is None or label is None:
        raise _without(names, [name for name, column in (("file", file), ("label", label)) if column is None], table)
    split = _one(squeezed, names, _SPLIT, _SPLIT_ALIASES, "split", table)
    group = _one(squeezed, names, (GROUP,), set(), GROUP, table)
    columns = Columns(tuple(names), file, label, split, group, _box(names, table))
    _name_columns(columns, squeezed, table, findings)
    return columns


def _squeezed(name: str) -> str:
    """A name in lower case without blanks, dots and underscores, in which writers differ."""
    return re.sub(r"[\W_]+", "", name.lower())


def _box_word(name: str) -> str:
    return _BOX_PREFIX.sub("", _squeezed(name))


def _one(
    squeezed: Sequence[str], names: Sequence[str], ours: Sequence[str], aliases: set[str], meaning: str, table: Path
) -> int | None:
    """Number of the column of one meaning: the one with Glocal's name for it, or else the only one with another usual name."""
    for name in ours:
        if columns := [column for column, other in enumerate(squeezed) if other == name]:
            if len(columns) > 1:
                raise _doubled([names[column] for column in columns], meaning, table)
            return columns[0]
    columns = [column for column, name in enumerate(squeezed) if name in aliases]
    if len(columns) > 1:
        raise _doubled([names[column] for column in columns], meaning, table)
    return columns[0] if columns else None


def _doubled(names: Sequence[str], meaning: str, table: Path) -> InvalidInput:
    said = excerpt(", ".join(names))
    return InvalidInput(
        f"{excerpt(str(table))} has {len(names)} columns that may be the {meaning}: {said}.",
        f"Rename the right one to {meaning}, and give the others names of their own.",
    )


def _without(names: Sequence[str], missing: Sequence[str], table: Path) -> InvalidInput:
    headline = f"{excerpt(str(table))} has no column {' and no column '.join(missing)}"
    if any(name.strip().lower().endswith(SUFFIXES) for name in names):
        return InvalidInput(f"{headline}: its first line names an image.", "Put a header above it, such as: file,label")
    said = excerpt(", ".join(names)) or "nothing"
    return InvalidInput(f"{headline}; its first line has: {said}.", "Its first line must name at least: file,label")


def _box(names: Sequence[str], table: Path) -> BoxColumns | None:
    """The columns of boxes, under the first of their usual names that is complete."""
    words = [_box_word(name) for name in names]
    corners = [family for family in _CORNERS if all(word in words for word in family)]
    if len(corners) > 1:
        said = " and ".join(",".join(family) for family in corners)
        raise InvalidInput(f"{excerpt(str(table))} has boxes twice, in the columns {said}.", "Remove or rename one set of them.")
    if corners:
        return _box_columns(words, names, corners[0], "corners", table)
    for form, starts in (("center", _CENTERS), ("size", _ORIGINS)):
        for start in starts:
            sizes = (next((word for word in usual if word in words), None) for usual in (_WIDTHS, _HEIGHTS))
            family = (*start, *(word or "" for word in sizes))
            if all(word in words for word in family):
                return _box_columns(words, names, family, "center" if form == "center" else "size", table)
    _refuse_incomplete(names, words, table)
    return None


def _box_columns(words: Sequence[str], names: Sequence[str], family: Sequence[str], form: Form, table: Path) -> BoxColumns:
    for word in family:
        if words.count(word) > 1:
            raise _doubled([name for name, other in zip(names, words, strict=True) if other == word], word, table)
    first, second, third, fourth = (words.index(word) for word in family)
    return BoxColumns((first, second, third, fourth), form)


def _refuse_incomplete(names: Sequence[str], words: Sequence[str], table: Path) -> None:
    """Refuse columns that are certainly part of a box, so that no box is ignored."""
    whole = [name for name in names if _squeezed(name) in _WHOLE_BOXES]
    parts = {word for start in (*_CORNERS, *_CENTERS) for word in start} - _PLAIN_WORDS
    incomplete = whole or [name for name, word in zip(names, words, strict=True) if word in parts]
    if incomplete:
        said, several = excerpt(", ".join(incomplete)), len(incomplete) > 1
        raise InvalidInput(
            f"{excerpt(str(table))} has the column{'s'[:several]} {said}, which {'are' if several else 'is'} no box in four "
            "columns.",
            "Name the columns of boxes xmin,ymin,xmax,ymax; or rename what is no box.",
        )


def _name_columns(columns: Columns, squeezed: Sequence[str], table: Path, findings: Findings) -> None:
    """Add warnings for the columns that are read under other names and for those that are not read."""
    read_as = []
    for meaning, column, ours in (
        ("file", columns.file, _FILE),
        ("label", columns.label, _LABEL),
        ("split", columns.split, _SPLIT),
    ):
        if column is not None and squeezed[column] not in ours:
            read_as.append(f"{columns.names[column]} as {meaning}")
    box = columns.box.columns if columns.box else ()
    if columns.box and tuple(squeezed[column] for column in box) != _CORNERS[0]:
        read_as.append(f"{', '.join(columns.names[column] for column in box)} as {_READ_AS[columns.box.form]}")
    if read_as:
        findings.warn("columns", table.name, f"read {'; '.join(read_as)}")
    read = {columns.file, columns.label, columns.split, columns.group, *box}
    unread = [
        name.strip() or f"column {number}, which has no name"
        for number, name in enumerate(columns.names, start=1)
        if number - 1 not in read
    ]
    if unread:
        findings.warn("columns not read", table.name, ", ".join(unread))
