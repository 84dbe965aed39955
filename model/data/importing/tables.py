"""A CSV as a source: one row an image, or a box in one, with its label and perhaps its split and its group."""

import csv
import math
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from model.data.importing.findings import Findings
from model.data.importing.sources import Listing, is_hidden, is_usable, name_is_valid
from model.data.manifest import GROUP, MANIFEST, SPLITS
from model.data.splits import UNSET
from model.errors import InvalidInput, NotFound

CORNERS = ("xmin", "ymin", "xmax", "ymax")
Row = dict[str, str]


def find_table(root: Path, given: Path | None) -> Path | None:
    """The CSV to read: the one that was given, or `manifest.csv` in the folder; None where there is neither."""
    table = given if given is not None else root / MANIFEST
    if table.is_file():
        return table
    if given is not None:
        raise NotFound(f"There is no file {given}.", "Give the path of a CSV with the columns file and label.")
    return None


def list_table(root: Path, table: Path, findings: Findings) -> Listing:
    """List the samples of `table`. File names start at its folder, at `root`, or at any one folder below `root`.

    Raises:
        InvalidInput: A needed column is missing, or the file is no UTF-8 text.
    """
    listing = Listing(root)
    find = _finder(listing, root, table, findings)
    labels: dict[str, int] = {}
    seen: set[tuple[int, int, tuple[float, ...]]] = set()
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            reader.fieldnames = _columns(reader.fieldnames, table)
            for row in reader:
                where = f"{table.name}, line {reader.line_num}"
                sample = _sample(row, where, find, labels, findings)
                if sample is None:
                    continue
                file, label, given, box, group = sample
                if (key := (file, label, box if box[0] == box[0] else ())) in seen:
                    findings.warn("listed twice", where, "the same row stands above; it is kept once")
                    continue
                seen.add(key)
                listing.add(file, label, given, box, group)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{table} cannot be read as a CSV: {error}.", "Save it as UTF-8, separated by commas.") from error
    listing.labels = list(labels)
    return listing


def _columns(names: object, table: Path) -> list[str]:
    """The header in lower case, `path` and `file` being the same."""
    columns = [str(name).strip().lower() for name in names] if isinstance(names, list | tuple) else []
    if "file" not in columns:
        columns = ["file" if name == "path" else name for name in columns]
    missing = [name for name in ("file", "label") if name not in columns]
    if missing:
        hint = "Its first line must name at least: file,label"
        raise InvalidInput(f"{table} has no column {' and no column '.join(missing)}.", hint)
    return columns


def _sample(
    row: Row, where: str, find: Callable[[str, str], int | None], labels: dict[str, int], findings: Findings
) -> tuple[int, int, int, tuple[float, ...], str] | None:
    """One row as file, label, split, box and group; None, and a named defect, where it is none."""
    name, label, split, group = ((row.get(column) or "").strip() for column in ("file", "label", "split", GROUP))
    if not label:
        findings.defect("no label", where, "the label is empty")
        return None
    if label not in labels and not name_is_valid(label, f"{where}: {label}", findings):
        return None
    if group and not name_is_valid(group, f"{where}: {group}", findings):
        return None
    if split and split not in SPLITS:
        findings.defect("no such split", where, f"{split!r} is none of {', '.join(SPLITS)}")
        return None
    file, box = find(name, where), _box(row, where, findings)
    if file is None or box is None:
        return None
    return file, labels.setdefault(label, len(labels)), SPLITS.index(split) if split else UNSET, box, group


def _box(row: Row, where: str, findings: Findings) -> tuple[float, ...] | None:
    """The four corners, NaN where the row has none; None, and a named defect, where they are no box."""
    texts = [(row.get(corner) or "").strip() for corner in CORNERS]
    if not any(texts):
        return (math.nan,) * 4
    try:
        xmin, ymin, xmax, ymax = (float(np.float32(text)) for text in texts)
    except ValueError:
        findings.defect("bad box", where, "a box needs four numbers: xmin, ymin, xmax, ymax")
        return None
    if not (math.isfinite(xmin + ymin + xmax + ymax) and xmin < xmax and ymin < ymax):
        findings.defect("bad box", where, f"the box {','.join(texts)} is empty")
        return None
    return xmin, ymin, xmax, ymax


def _finder(listing: Listing, root: Path, table: Path, findings: Findings) -> Callable[[str, str], int | None]:
    """A function from a file's name in the CSV to its place in the listing."""
    root, home = root.absolute(), table.absolute().parent
    below = sorted(Path(entry.path) for entry in os.scandir(root) if entry.is_dir() and not is_hidden(entry.name))
    known: dict[str, int | None] = {}  # what the CSV says -> place
    entered: dict[str, int] = {}  # where the file lies -> place

    def find(name: str, where: str) -> int | None:
        if name not in known:
            known[name] = locate(name, where)
        return known[name]

    def locate(name: str, where: str) -> int | None:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            findings.defect("link out of the folder", f"{where}: {name}", "the name is empty, absolute, or holds '..'")
            return None
        if not all(name_is_valid(part, f"{where}: {name}", findings) for part in parts):
            return None
        found = _existing([home, root], parts)[:1] or _existing(below, parts)
        if len(found) != 1:
            if found:
                folders = ", ".join(path.parent.name for path in found)
                findings.defect("ambiguous", f"{where}: {name}", f"it is in more than one folder: {folders}")
            else:
                findings.defect("missing", f"{where}: {name}", "it is in none of the folders")
            return None
        return enter(found[0], f"{where}: {name}")

    def enter(path: Path, name: str) -> int | None:
        if not path.is_relative_to(root) or not path.parent.resolve().is_relative_to(root.resolve()):
            findings.defect("link out of the folder", name, "it leads out of the folder that is imported")
            return None
        if not is_usable(root, path, name, findings):
            return None
        relative = path.relative_to(root).as_posix()
        if relative not in entered:
            entered[relative] = len(listing.files)
            listing.files.append(relative)
        return entered[relative]

    return find


def _existing(folders: list[Path], parts: tuple[str, ...]) -> list[Path]:
    return [path for folder in folders if os.path.lexists(path := folder.joinpath(*parts))]
