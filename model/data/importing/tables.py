"""A CSV as a source: each row is an image, or a box in one, with its label and perhaps its split and its group."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.data.importing.columns import Columns, find_columns, recognised
from model.data.importing.delimited import read_rows
from model.data.importing.findings import Findings
from model.data.importing.listing import Listing
from model.data.importing.locating import Finder
from model.data.importing.names import Spellings, name_is_valid, refuse_same_class_name
from model.data.importing.splits import UNSET
from model.data.manifest import MANIFEST, SPLITS, Box
from model.errors import InvalidInput, NotFound
from model.text import excerpt

NO_BOX = (math.nan,) * 4
_SLACK = 1e-4
"""Maximum distance by which a normalised box may reach beyond the image, as rounding causes. The part beyond is cut off."""
_SPLIT_WORDS = {"training": "train", "validation": "val", "valid": "val", "testing": "test", "distractors": "distractor"}


class Row(NamedTuple):
    """A complete row whose values have been understood."""

    file: int
    label: int
    split: int
    box: Box
    group: str


def find_table(root: Path, given: Path | None) -> Path | None:
    """The CSV to read: the given one, or `manifest.csv` in the folder; None if there is neither."""
    table = given if given is not None else root / MANIFEST
    if table.is_file():
        return table
    if given is not None:
        raise NotFound(f"There is no file {given}.", "Give the path of a CSV with the columns file and label.")
    return None


def list_table(root: Path, table: Path, findings: Findings, *, boxes: str = "pixels") -> Listing:
    """List the samples of `table`. File names start at its folder, at `root`, or at any one folder below `root`.

    Args:
        root: The folder that is imported.
        table: The CSV.
        findings: Receives a defect for every row that cannot be used.
        boxes: Unit of the boxes: `pixels`, or `normalised` to 0 to 1.

    Raises:
        InvalidInput: The table as a whole cannot be used: its encoding, quotes or columns are wrong, it has no rows, or its boxes
            have the other unit.
    """
    rows = read_rows(table, recognised)
    _, header = next(rows, (0, None))
    if header is None:
        raise InvalidInput(f"{excerpt(str(table))} is empty.", "Its first line must name at least: file,label")
    reader = _Reader(root, table, find_columns(header, table, findings), findings, boxes)
    count = 0
    for line, values in rows:
        reader.read(line, values)
        count += 1
    if not count:
        raise InvalidInput(f"{excerpt(str(table))} has no rows.", "Add a row for each image below the header.")
    listing = reader.listing
    corners = listing.box_array[~np.isnan(listing.box_array[:, 0])]
    if boxes == "pixels" and len(corners) and corners.max() <= 1 + _SLACK:
        headline = f"{excerpt(str(table))}: all {len(corners)} boxes lie between 0 and 1, so they are no pixels."
        raise InvalidInput(headline, "If they are fractions of the image's width and height: --set data.boxes=normalised")
    return listing


class _Reader:
    """Turns the rows of a table into the samples of a listing."""

    def __init__(self, root: Path, table: Path, columns: Columns, findings: Findings, boxes: str) -> None:
        self.listing = Listing(root)
        self._finder = Finder(self.listing, table, findings)
        self._table, self._columns, self._findings, self._boxes = table, columns, findings, boxes
        self._labels: dict[str, int] = {}
        self._spellings = Spellings()
        self._seen: dict[tuple[int, int, tuple[float, ...]], tuple[int, int, str]] = {}  # sample -> line, split, group

    def read(self, line: int, values: list[str]) -> None:
        """Add the sample of one row, or a defect if it cannot be used."""
        where, count = f"{self._table.name}, line {line}", len(self._columns.names)
        while len(values) > count and not values[-1].strip():
            values.pop()  # trailing commas
        if len(values) != count:
            text = f"it has {len(values)} values, and the header has {count} columns; add or remove commas, or quote the value"
            self._findings.defect("ragged row", where, text)
        elif (row := self._row(values, where)) and self._is_new(row, line, where):
            self.listing.add(row.file, row.label, row.split, row.box, row.group)

    def _row(self, values: list[str], where: str) -> Row | None:
        """The meaning of one row. If it cannot be used, a defect is added and None returned."""
        columns, findings = self._columns, self._findings
        name, label = values[columns.file].strip(), values[columns.label].strip()
        group = values[columns.group].strip() if columns.group is not None else ""
        for text, kind, column in ((label, "no label", columns.label), (name, "no file", columns.file)):
            if not text:
                findings.defect(kind, where, f"the column {columns.names[column]} is empty; fill it, or remove the row")
                return None
        if any(text and not name_is_valid(text, f"{where}: {text}", findings) for text in (label, group)):
            return None
        split, box, file = self._split(values, where), self._box(values, where), self._finder.find(name, where)
        if split is None or box is None or file is None:
            return None
        return Row(file, self._label(label, where), split, box, group)

    def _label(self, label: str, where: str) -> int:
        """The number of a class."""
        if label not in self._labels:
            refuse_same_class_name(label, where, self._spellings, self._findings)
            self._labels[label] = len(self._labels)
            self.listing.labels.append(label)
        return self._labels[label]

    def _split(self, values: list[str], where: str) -> int | None:
        """The stated side; `UNSET` if none is stated. If there is no such side, a defect is added and None returned."""
        column = self._columns.split
        given = values[column].strip() if column is not None else ""
        if not given:
            return UNSET
        split = _SPLIT_WORDS.get(given.lower(), given.lower())
        if split not in SPLITS:
            text = f"{given!r} in the column {self._columns.names[column or 0]} is none of {', '.join(SPLITS)}"
            self._findings.defect("no such split", where, text)
            return None
        return SPLITS.index(split)

    def _box(self, values: list[str], where: str) -> Box | None:
        """The box of the row; `NO_BOX` if it has none. If its numbers are no box, a defect is added and None returned."""
        if self._columns.box is None:
            return NO_BOX
        columns, form = self._columns.box.columns, self._columns.box.form
        texts = [values[column].strip() for column in columns]
        if not any(texts):
            return NO_BOX
        names = ", ".join(self._columns.names[column] for column in columns)
        try:
            first, second, third, fourth = (float(text) for text in texts)
        except ValueError:
            text = f"a box needs four numbers with decimal points in the columns {names}, and not {', '.join(texts)}"
            self._findings.defect("bad box", where, text)
            return None
        box = _corners(first, second, third, fourth, form)
        if problem := self._problem(box):
            self._findings.defect("bad box", where, f"the box {', '.join(texts)} in the columns {names} {problem}")
            return None
        if self._boxes == "normalised":
            xmin, ymin, xmax, ymax = (min(max(value, 0.0), 1.0) for value in box)
            return xmin, ymin, xmax, ymax
        return box

    def _problem(self, box: Box) -> str:
        """What is wrong with a box; empty if nothing is."""
        xmin, ymin, xmax, ymax = box
        if not math.isfinite(xmin + ymin + xmax + ymax):
            return "is not finite"
        if not (xmin < xmax and ymin < ymax):
            return "is empty"
        if self._boxes == "normalised" and not (min(box) >= -_SLACK and max(box) <= 1 + _SLACK):
            return "is not between 0 and 1, and data.boxes is normalised"
        return ""

    def _is_new(self, row: Row, line: int, where: str) -> bool:
        """Whether this is the first row of its sample. Adds a defect if the row contradicts an earlier one, else a warning."""
        key = (row.file, row.label, row.box if row.box is not NO_BOX else ())
        said = self._seen.setdefault(key, (line, row.split, row.group))
        if said[0] == line:
            return True
        first, split, group = said
        file = self.listing.files[row.file]
        for what, old, new in (("split", _split_name(split), _split_name(row.split)), ("group", group, row.group)):
            if old != new:
                text = f"{what} is {new or 'empty'} here and {old or 'empty'} in line {first}, for {file}; remove one row"
                self._findings.defect("contradiction", where, text)
                return False
        self._findings.warn("listed twice", where, f"line {first} says the same; it is kept once")
        return False


def _split_name(split: int) -> str:
    return SPLITS[split] if split != UNSET else ""


def _corners(first: float, second: float, third: float, fourth: float, form: str) -> Box:
    """A box as its two corners, in the precision in which it is stored."""
    if form == "center":
        first, second = first - third / 2, second - fourth / 2
    if form != "corners":
        third, fourth = first + third, second + fourth
    xmin, ymin, xmax, ymax = (float(value) for value in np.array([first, second, third, fourth], np.float32))
    return xmin, ymin, xmax, ymax
