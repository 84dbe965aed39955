"""A revision: the newest version of a data set with some images added or relabelled, imported as its next version."""

import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.config import DataConfig
from model.data.importing.import_dataset import import_dataset
from model.data.importing.import_report import ImportReport
from model.data.manifest import MANIFEST, Box, Manifest, read_manifest, write_manifest
from model.data.versions.fetch import fetch, file_hashes
from model.data.versions.integrity import file_md5
from model.data.versions.pin import import_record, resolve
from model.errors import Conflict, InvalidInput
from model.home import DataStore
from model.progress import Progress
from model.schemas.data_pin import DataPin
from model.scratch import scratch_folder

ADDED = "corrections"
"""Folder of a data set with the images that revisions added, each named by its MD5."""
_SCENE = "scene"


@dataclass(frozen=True)
class LabelledImage:
    """An image file, and the label that it is to have in the data set."""

    file: Path
    label: str


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

    An image that the data set holds already, byte for byte, is relabelled; others are added. A class stays on its side of the
    split; a new class gets one as at any import. The settings are those of the version's own import.

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


def _labels(images: Sequence[LabelledImage]) -> dict[str, LabelledImage]:
    """Each distinct image by its MD5."""
    found: dict[str, LabelledImage] = {}
    for image in images:
        other = found.setdefault(file_md5(image.file), image)
        if other.label != image.label:
            headline = f"One image is to be both {other.label!r} and {image.label!r}."
            raise Conflict(headline, "Drop the correction that is wrong.")
    return found


def _revised(
    manifest: Manifest, hashes: Mapping[str, str], labels: Mapping[str, LabelledImage]
) -> tuple[list[_Row], dict[str, Path]]:
    """The rows of the new manifest, and the files that are added, by their paths in the data set."""
    rows = _rows(manifest)
    sides = {row.label: row.split for row in rows if row.split != _SCENE}
    whole: defaultdict[str, list[int]] = defaultdict(list)  # MD5 -> rows of whole images with these bytes
    for number, row in enumerate(rows):
        if row.box is None and row.split != _SCENE:
            whole[hashes.get(row.path, "")].append(number)
    added: dict[str, Path] = {}
    changed = False
    for md5, image in labels.items():
        side = sides.get(image.label, "")
        for number in whole.get(md5, ()):
            changed |= rows[number].label != image.label
            rows[number] = _Row(rows[number].path, image.label, side, None, rows[number].group)
        if md5 not in whole:
            path = f"{ADDED}/{md5}{image.file.suffix.lower()}"
            rows.append(_Row(path, image.label, side, None, ""))
            added[path] = image.file
    if not changed and not added:
        raise InvalidInput("Each of these images has its label already.", "Drop the corrections.")
    return rows, added


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
