"""The manifest: the table of a data set's samples, with the class and the side of the split of each.

A data set is a folder with `manifest.csv` and the images it names:

    path,label,split,xmin,ymin,xmax,ymax
    apple/1.jpg,apple,train,,,,

One row is one *sample*: a whole image, or the box of one object in it in pixels. If the source names groups by which figures are
reported, there is an eighth column, `group`. Columns are kept as arrays, so that a hundred thousand samples take a few megabytes.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput, NotFound
from model.files import atomic_file

MANIFEST = "manifest.csv"
COLUMNS = ("path", "label", "split", "xmin", "ymin", "xmax", "ymax")
GROUP = "group"
"""Column that is there only if a sample has a group, so that the manifests of other data sets keep their bytes and hash."""
NO_GROUP = "(no group)"
"""Group of the samples without one in a data set in which others have one."""
SPLITS = ("train", "val", "test", "scene", "distractor")
"""The sides of the split: classes to train on, classes to validate on (folds deal both kinds alike), and classes to test on;
whole scenes, for detection alone; and distractors: wrong answers in every gallery, never trained on and never a query."""
_REMEDY = "Import the data set again, or correct the file."

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels."""


@dataclass(frozen=True)
class Manifest:
    """The samples of one data set, column by column.

    Attributes:
        folder: Folder that the paths start from.
        paths: (N,) str, relative to `folder`.
        labels: (N,) int64, indices into `classes`.
        splits: (N,) str, each one of `SPLITS`.
        boxes: (N, 4) float32, xmin, ymin, xmax, ymax in pixels; NaN if the sample is the whole image.
        classes: The class names, sorted.
        groups: (N,) str, group by which figures are reported, such as a kind of product; empty if there is none.
    """

    folder: Path
    paths: NDArray[np.str_]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    boxes: NDArray[np.float32]
    classes: tuple[str, ...]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """(N,) str, id of each sample, by which self-matches are recognised; see `sample_id`."""
        boxed = ~np.isnan(self.boxes[:, 0])
        if not boxed.any():
            return self.paths
        ids = self.paths.astype(object)
        for row in np.flatnonzero(boxed):
            ids[row] = sample_id(str(self.paths[row]), self.boxes[row])
        return ids.astype(str)

    def box(self, row: int) -> Box | None:
        """The box of a sample; None if the sample is the whole image."""
        xmin, ymin, xmax, ymax = (float(value) for value in self.boxes[row])
        return None if math.isnan(xmin) else (xmin, ymin, xmax, ymax)

    @property
    def has_groups(self) -> bool:
        """Whether any sample has a group."""
        return bool((self.groups != "").any())

    @property
    def grouping(self) -> NDArray[np.str_]:
        """(N,) str, group of each sample, or its class if no sample has a group."""
        if not self.has_groups:
            return np.array(self.classes, dtype=str)[self.labels]
        return np.where(self.groups == "", NO_GROUP, self.groups)

    def rows(self, *splits: str) -> NDArray[np.int64]:
        """The row numbers of the samples in any of `splits`, ascending."""
        return np.flatnonzero(np.isin(self.splits, splits))

    @property
    def classified(self) -> "Manifest":
        """All samples but whole scenes, in the order in which maps and galleries hold them."""
        return self.select(self.rows("train", "val", "test", "distractor"))

    @property
    def searched(self) -> "Manifest":
        """The samples that an evaluation searches: the test samples, which are its queries, then the distractors."""
        return self.select(np.concatenate([self.rows("test"), self.rows("distractor")]))

    def select(self, rows: NDArray[np.int64]) -> "Manifest":
        """The manifest of `rows` alone. Labels remain indices into the same classes."""
        columns = (self.paths[rows], self.labels[rows], self.splits[rows], self.boxes[rows])
        return Manifest(self.folder, *columns, self.classes, self.groups[rows])


def sample_id(path: str, box: NDArray[np.float32]) -> str:
    """The id of a sample: its path, and `#xmin,ymin,xmax,ymax` behind it unless the box (4,) is NaN."""
    return path if np.isnan(box[0]) else f"{path}#" + ",".join(f"{value:g}" for value in box)


def split_id(sample: str) -> tuple[str, Box | None]:
    """The path and the box of a sample's id; the box is None if the sample is the whole image."""
    path, _, behind = sample.rpartition("#")
    try:
        xmin, ymin, xmax, ymax = (float(value) for value in behind.split(","))
    except ValueError:
        return sample, None
    return path, (xmin, ymin, xmax, ymax)


def class_names(table: Path) -> frozenset[str]:
    """The class names in a table that `write_manifest` wrote."""
    with table.open(encoding="utf-8", newline="") as stream:
        return frozenset(row["label"] for row in csv.DictReader(stream))


def read_manifest(folder: Path, table: Path | None = None) -> Manifest:
    """Read `folder/manifest.csv`, or the same table from another file.

    Raises:
        NotFound: There is no manifest.
        InvalidInput: A column is missing, or a row cannot be read; the message names the row.
    """
    file = table or folder / MANIFEST
    if not file.is_file():
        raise NotFound(f"{folder} holds no {MANIFEST}.", "Import the folder first: glocal data import DIR --name NAME")
    paths: list[str] = []
    names: list[str] = []
    splits: list[str] = []
    boxes: list[tuple[float, ...]] = []
    groups: list[str] = []
    nothing = (np.nan,) * 4
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        header = tuple(next(reader, ()))
        if header not in (COLUMNS, (*COLUMNS, GROUP)):
            raise InvalidInput(f"{file} does not start with the columns {', '.join(COLUMNS)}.", _REMEDY)
        for row in reader:
            try:
                path, label, split, *box = row
                groups.append(box.pop() if len(box) > 4 and GROUP in header else "")
                boxes.append(tuple(float(value) for value in box) if any(box) else nothing)
            except ValueError as error:
                raise InvalidInput(f"{file}, line {reader.line_num}: {error}.", _REMEDY) from error
            if split not in SPLITS or len(boxes[-1]) != 4:
                raise InvalidInput(f"{file}, line {reader.line_num}: no such split, or not four box columns.", _REMEDY)
            paths.append(path)
            names.append(label)
            splits.append(split)
    classes, labels = np.unique(np.array(names, dtype=str), return_inverse=True)
    return Manifest(
        folder,
        np.array(paths, dtype=str),
        labels.astype(np.int64),
        np.array(splits, dtype=str),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        tuple(str(name) for name in classes),
        np.array(groups, dtype=str),
    )


def write_manifest(folder: Path, rows: Iterable[tuple[str, str, str, Box | None]], groups: Sequence[str] = ()) -> None:
    """Write `folder/manifest.csv` with the rows in their order.

    Args:
        folder: Folder of the data set.
        rows: Path, label, split and box (None for a whole image) of every sample.
        groups: Group of every row, '' for none; may be empty if no row has a group.
    """
    grouped = any(groups)
    with atomic_file(folder / MANIFEST) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*COLUMNS, GROUP] if grouped else COLUMNS)
        for number, (path, label, split, box) in enumerate(rows):
            corners = [f"{value:g}" for value in box] if box else [""] * 4
            writer.writerow([path, label, split, *corners, *([groups[number]] if grouped else [])])
