"""A revision: the newest version of a data set with some images added or relabelled, imported as its next version."""

import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.config import DataConfig
from model.data.importing.import_dataset import import_dataset
from model.data.importing.import_report import ImportReport
from model.data.manifest import MANIFEST, Box, Manifest, read_manifest, write_manifest
from model.data.versions.fetch import fetch, file_hashes
from model.data.versions.integrity import file_md5
from model.data.versions.pin import import_record, resolve
from model.detection.boxes import overlaps
from model.errors import Conflict, InvalidInput
from model.home import DataStore
from model.progress import Progress
from model.schemas.data_pin import DataPin
from model.scratch import scratch_folder

ADDED = "corrections"
"""Folder of a data set with the images that revisions added, each named by its MD5."""
_SCENE = "scene"
_SAME_PLACE, _SAME_BOX = 0.5, 0.99
"""Intersection over union from which on two boxes of a scene are one object, as in the evaluation of detection, and those of two
samples are one but for rounding."""
_Content = tuple[str, Box | None]
"""MD5 of an image's bytes, and the box in it."""


@dataclass(frozen=True)
class LabelledImage:
    """An image file, or a box in it, and the label that it is to have in the data set."""

    file: Path
    label: str
    box: Box | None = None


@dataclass(frozen=True)
class _Row:
    """A row of the new manifest."""

    path: str
    label: str
    split: str
    box: Box | None
    group: str


def revise_dataset(
    name: str,
    images: Sequence[LabelledImage],
    store: DataStore,
    datasets: Path,
    *,
    remote: str | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Import the newest version of a data set with some images under their right labels as its next version.

    An image that the data set holds already, byte for byte, is relabelled; others are added. A box in a scene of the data set
    relabels the object there, or adds one; in any other image it is a sample of its own, to train on and to search. A class stays
    on its side of the split; a new class gets one as at any import. The settings are those of the version's own import.

    Args:
        name: Name of the data set.
        images: The images.
        store: Store that keeps the versions.
        datasets: Folder with the fetched versions.
        remote: Address where versions are kept as well.
        progress: Called after every step.

    Raises:
        NotFound: There is no such data set, or its files are gone.
        InvalidInput: Every image has its label already.
        Conflict: One image is to have two labels; or another version was imported meanwhile.
        Rejected: The result has defects. The store is unchanged.
    """
    pin = resolve(store, name)
    folder = fetch(pin, store, datasets)
    labels = _labels(images)
    rows, added = _revised(read_manifest(folder), file_hashes(pin, store, datasets), labels)
    with scratch_folder("revision") as source:
        shutil.copytree(folder, source, dirs_exist_ok=True, copy_function=_linked)
        for path, file in added.items():
            (source / path).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, source / path)
        (source / MANIFEST).unlink()  # which may be a link to the fetched one
        manifest = [(row.path, row.label, row.split, row.box) for row in rows]
        write_manifest(source, manifest, [row.group for row in rows])
        return import_dataset(source, name, store, _settings(store, pin), remote=remote, progress=progress, base=pin)


def _labels(images: Sequence[LabelledImage]) -> dict[_Content, LabelledImage]:
    """Each distinct image or box by its content."""
    found: dict[_Content, LabelledImage] = {}
    for image in images:
        other = found.setdefault((file_md5(image.file), image.box), image)
        if other.label != image.label:
            headline = f"One image is to be both {other.label!r} and {image.label!r}."
            raise Conflict(headline, "Drop the correction that is wrong.")
    return found


def _revised(
    manifest: Manifest, hashes: Mapping[str, str], labels: Mapping[_Content, LabelledImage]
) -> tuple[list[_Row], dict[str, Path]]:
    """The rows of the new manifest, and the files that are added, by their paths in the data set."""
    rows = _rows(manifest)
    sides = {row.label: row.split for row in rows if row.split != _SCENE}
    known = {row.path for row in rows}
    of_image: defaultdict[str, list[int]] = defaultdict(list)  # MD5 -> rows of these bytes
    for number, row in enumerate(rows):
        of_image[hashes.get(row.path, "")].append(number)
    added: dict[str, Path] = {}
    changed = False
    for (md5, box), image in labels.items():
        place = sides.get(image.label, "")
        path = f"{ADDED}/{md5}{image.file.suffix.lower()}"
        same = [number for number in of_image[md5] if _is_meant(rows[number], box)]
        if box and of_image[md5]:
            other = rows[of_image[md5][0]]
            path, place = other.path, _SCENE if other.split == _SCENE else place
            same = sorted(same, key=lambda number: _overlap(rows[number].box, box))[-1:]
        for number in same:
            row = rows[number]
            changed |= row.label != image.label
            rows[number] = _Row(row.path, image.label, place, row.box, row.group)
        if not same:
            rows.append(_Row(path, image.label, place, box, ""))
            changed = True
            if path not in known:
                added[path] = image.file
    if not changed:
        raise InvalidInput("Each of these images has its label already.", "Drop the corrections.")
    return rows, added


def _is_meant(row: _Row, box: Box | None) -> bool:
    """Whether a row of the same image is what is labelled: the whole image, the same box, or in a scene the object there."""
    if box is None:
        return row.box is None and row.split != _SCENE
    return _overlap(row.box, box) >= (_SAME_PLACE if row.split == _SCENE else _SAME_BOX)


def _overlap(one: Box | None, other: Box) -> float:
    """Intersection over union of two boxes."""
    return float(overlaps(np.array([one]), np.array([other]))[0, 0]) if one else 0.0


def _rows(manifest: Manifest) -> list[_Row]:
    """The rows of a manifest."""
    columns = zip(
        manifest.paths.tolist(), manifest.labels.tolist(), manifest.splits.tolist(), manifest.groups.tolist(), strict=True
    )
    return [
        _Row(path, manifest.classes[label], split, manifest.box(number), group)
        for number, (path, label, split, group) in enumerate(columns)
    ]


def _settings(store: DataStore, pin: DataPin) -> DataConfig:
    """The settings of a version's import, for a source in the form that an import gives it."""
    options: dict[str, Any] = import_record(store, pin).get("options", {})
    known = {name: value for name, value in options.items() if name in DataConfig.model_fields}
    split = "gallery" if known.get("split") == "gallery" else "zero-shot"
    return DataConfig.model_validate({**known, "boxes": "pixels", "split": split, "licence": pin.licence})


def _linked(source: str, target: str) -> None:
    """A second name of a file, where the file system has that; else a copy. The import reads it and writes to neither."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
