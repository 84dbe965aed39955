"""From the listing of a source to the folder of a data set: look at every image, split by class, compare, write."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.data.decoding.limits import ImageLimits
from model.data.importing.checks import STORED_SUFFIXES, Samples, inspect
from model.data.importing.duplicates import exact_copies, near_copies
from model.data.importing.findings import Findings
from model.data.importing.options import Options, fingerprint
from model.data.importing.sources import Listing
from model.data.manifest import SPLITS, write_manifest
from model.data.splits import SCENE, UNSET, assign
from model.progress import Progress


def assemble(listing: Listing, options: Options, folder: Path, findings: Findings, tell: Progress) -> dict[str, Any]:
    """Fill `folder` with the data set, as far as it has no defects, and return the record of it."""
    folder.mkdir()
    found = inspect(listing, ImageLimits(options.max_bytes, options.max_pixels), folder, findings, tell)
    given = np.frombuffer(listing.given, np.int8)
    labels = np.frombuffer(listing.label, np.int64)
    sides = assign(labels, given, listing.labels, findings, mode=options.split, validation_fraction=options.validation_fraction)
    if options.split == "zero-shot" and np.any((given != UNSET) & (given != SCENE)):
        findings.warn("split", "the split column", "is followed; classes it leaves open are split by name")
    tell(0, 0, "look for copies")
    samples = Samples(listing, found, sides, found.valid & (sides != UNSET))
    identity = samples.identity()
    exact_copies(samples, identity, options.leaks == "drop", findings)
    near_copies(samples, identity, findings)
    _check_classes(samples, findings)
    if not findings.defects:
        _write(samples, folder)
    return _record(samples, options, findings)


def _check_classes(samples: Samples, findings: Findings) -> None:
    """Name each class of one image, and a data set of one class, which leaves nothing to test with."""
    names, whole = samples.listing.labels, samples.sides != SCENE
    shown = np.bincount(samples.labels[samples.keep & whole], minlength=len(names))
    listed = np.bincount(samples.labels[whole], minlength=len(names))
    for label in np.flatnonzero((shown < 2) & (listed > 0)):
        if shown[label]:
            findings.defect("class of one", names[label], "it has one usable image, and nothing to be compared with")
        else:
            findings.defect("empty class", names[label], "none of its images is usable")
    if np.count_nonzero(listed) == 1 and np.all(whole):
        only = names[int(np.argmax(listed))]
        findings.defect("one class", only, "it is the only class; if its label stands in a CSV, give that CSV")


def _write(samples: Samples, folder: Path) -> None:
    """Write the manifest of the samples that are kept, and remove the images that none of them shows."""
    listing, files = samples.listing, samples.files

    def stored(file: int) -> str:
        return f"{listing.files[file]}{STORED_SUFFIXES[samples.found.suffix[file]]}"

    kept = np.flatnonzero(samples.keep)

    def rows() -> Iterator[tuple[str, str, str, tuple[float, float, float, float] | None]]:
        for row in kept:
            xmin, ymin, xmax, ymax = (float(value) for value in listing.box_array[row])
            box = None if np.isnan(xmin) else (xmin, ymin, xmax, ymax)
            yield stored(int(files[row])), listing.labels[int(samples.labels[row])], SPLITS[samples.sides[row]], box

    write_manifest(folder, rows(), [listing.groups[int(row)] for row in kept])
    shown = np.zeros(len(listing.files), bool)
    shown[files[samples.keep]] = True
    for file in np.flatnonzero(samples.found.usable & ~shown):
        (folder / stored(int(file))).unlink()


def _record(samples: Samples, options: Options, findings: Findings) -> dict[str, Any]:
    """What is kept beside the version: how it was made, and what was found."""
    by_side = [samples.keep & (samples.sides == side) for side in range(len(SPLITS))]
    return {
        "fingerprint": fingerprint(samples.listing, samples.found.md5, options),
        "options": asdict(options),
        "classes": len(np.unique(samples.labels[samples.keep])),
        "samples_by_split": {split: int(rows.sum()) for split, rows in zip(SPLITS, by_side, strict=True)},
        "classes_by_split": {split: len(np.unique(samples.labels[rows])) for split, rows in zip(SPLITS, by_side, strict=True)},
        "warnings": findings.to_json()["warnings"],
    }
