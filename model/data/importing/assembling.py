"""Assembling: from the listing of a source to the folder of a data set, with every image checked, split and compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.config import DataConfig
from model.data.importing.checks import STORED_SUFFIXES, inspect
from model.data.importing.duplicates import drop_conflicts, exact_copies, near_copies
from model.data.importing.findings import Findings
from model.data.importing.fingerprint import fingerprint
from model.data.importing.listing import Listing
from model.data.importing.samples import Samples
from model.data.importing.singletons import check_classes, exclude_singletons
from model.data.importing.splits import DISTRACTOR, SCENE, UNSET, assign
from model.data.manifest import SPLITS, Box, write_manifest
from model.progress import Progress


def assemble(
    listing: Listing, config: DataConfig, remote: str | None, folder: Path, findings: Findings, progress: Progress
) -> dict[str, Any]:
    """Fill `folder` with the data set unless it has defects, and return the record of the import.

    Images in several classes and classes of one image are left out before classes are split, so that the halves are even.
    """
    folder.mkdir()
    inspection = inspect(
        listing,
        config.image_limits,
        folder,
        findings,
        progress,
        skip_unreadable=config.skip_unreadable,
        normalised=config.boxes == "normalised",
    )
    progress(0, 0, "look for copies")
    samples = Samples.of(listing, inspection)
    identity = samples.identity()
    if config.conflicts == "drop":
        drop_conflicts(samples, identity, findings)
    if config.split != "gallery":
        exclude_singletons(samples, config.singletons, findings)
    _split(samples, config, findings)
    exact_copies(samples, identity, config, findings)
    exclude_singletons(samples, config.singletons, findings)  # dropping a leaked copy may leave a class of one image
    near_copies(samples, identity, findings)
    check_classes(samples, findings)
    if not findings.defects:
        _write(samples, folder)
    return _record(samples, config, remote, findings)


def _split(samples: Samples, config: DataConfig, findings: Findings) -> None:
    """Choose the side of every sample."""
    if config.split == "zero-shot" and not set(np.frombuffer(samples.listing.given, np.int8)) <= {UNSET, SCENE, DISTRACTOR}:
        findings.warn("split", "the split column", "is followed; classes it leaves open are split by name")
    rows = samples.keep
    samples.sides[rows] = assign(
        samples.labels[rows],
        samples.sides[rows],
        samples.listing.labels,
        findings,
        mode=config.split,
        validation_fraction=config.validation_fraction,
    )
    samples.keep &= samples.sides != UNSET


def _write(samples: Samples, folder: Path) -> None:
    """Write the manifest of the samples that are kept, and remove the images that none of them shows."""
    listing, files = samples.listing, samples.files

    def stored(file: int) -> str:
        return f"{listing.files[file]}{STORED_SUFFIXES[samples.inspection.suffix[file]]}"

    kept = np.flatnonzero(samples.keep)

    def rows() -> Iterator[tuple[str, str, str, Box | None]]:
        for row in kept:
            xmin, ymin, xmax, ymax = (float(value) for value in samples.inspection.boxes[row])
            box = None if np.isnan(xmin) else (xmin, ymin, xmax, ymax)
            yield stored(int(files[row])), listing.labels[int(samples.labels[row])], SPLITS[samples.sides[row]], box

    write_manifest(folder, rows(), [listing.groups[int(row)] for row in kept])
    shown = np.zeros(len(listing.files), bool)
    shown[files[samples.keep]] = True
    for file in np.flatnonzero(samples.inspection.usable & ~shown):
        (folder / stored(int(file))).unlink()


def _record(samples: Samples, config: DataConfig, remote: str | None, findings: Findings) -> dict[str, Any]:
    """The record that is kept with the version: settings, sizes, warnings and numbers of samples left out."""
    by_side = [samples.keep & (samples.sides == side) for side in range(len(SPLITS))]
    return {
        "fingerprint": fingerprint(samples.listing, samples.inspection.md5, config, remote),
        "options": {**config.model_dump(), "remote": remote},
        "classes": len(np.unique(samples.labels[samples.keep])),
        "samples_by_split": {split: int(rows.sum()) for split, rows in zip(SPLITS, by_side, strict=True)},
        "classes_by_split": {split: len(np.unique(samples.labels[rows])) for split, rows in zip(SPLITS, by_side, strict=True)},
        "dropped": dict(findings.dropped),
        "warnings": findings.to_json()["warnings"],
    }
