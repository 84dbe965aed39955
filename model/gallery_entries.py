"""The entries of a release's gallery: what their ids say of where they come from, and how two galleries differ."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.named_parts import did_you_mean
from model.release import Release
from model.retrieval.gallery import Gallery
from model.schemas.data_pin import DataPin
from model.schemas.gallery import GalleryDiff, GallerySize

Hashes = Callable[[DataPin], Mapping[str, str]]
"""A function from a pin to the MD5 of each of its files, by path."""


class Origin(NamedTuple):
    """Where an entry comes from: a version of a data set, and the id of a sample in it."""

    pin: DataPin
    sample: str


def id_beginning(pin: DataPin, trained_on: DataPin) -> str:
    """What the ids of a pin's gallery entries begin with, so that no two data sets give one id: nothing for the training data."""
    return "" if (pin.path, pin.rev) == (trained_on.path, trained_on.rev) else f"{pin.named}/"


def entry_ids(samples: NDArray[np.str_], pin: DataPin, trained_on: DataPin) -> NDArray[np.str_]:
    """Ids of gallery entries from those of samples, which say where each image is; see `id_beginning`."""
    beginning = id_beginning(pin, trained_on)
    return np.array([f"{beginning}{sample}" for sample in samples], dtype=str)


def origin(entry: str, release: Release) -> Origin:
    """Where an entry of a release's gallery comes from."""
    for pin in release.gallery_pins:
        beginning = id_beginning(pin, release.pin)
        if beginning and entry.startswith(beginning):
            return Origin(pin, entry.removeprefix(beginning))
    return Origin(release.pin, entry)


def contents(release: Release, hashes: Hashes) -> dict[str, str]:
    """The id of the entry that shows each content; a content is what `content` returns."""
    of_pin = {pin.named: hashes(pin) for pin in release.gallery_pins}
    found = {}
    for entry in release.gallery.entries.id_array.tolist():
        pin, sample = origin(entry, release)
        if key := content(sample, of_pin.get(pin.named, {})):
            found[key] = entry
    return found


def content(sample: str, hashes: Mapping[str, str]) -> str:
    """The content of a sample: the MD5 of its file, with its box; empty if the file is not known."""
    if sample in hashes:
        return hashes[sample]
    path, _, box = sample.rpartition("#")
    return f"{hashes[path]}#{box}" if path in hashes else ""


def counts_by_label(gallery: Gallery) -> dict[str, int]:
    """The number of entries of each label that has one, by name."""
    entries = gallery.entries
    counts = np.bincount(entries.labels, minlength=len(entries.classes))
    return {name: int(count) for name, count in sorted(zip(entries.classes, counts, strict=True)) if count}


def ids_of(gallery: Gallery, label: str) -> list[str]:
    """The ids of the entries of a label.

    Raises:
        InvalidInput: The gallery has no such label.
    """
    known = [name for name, _ in counts_by_label(gallery).items()]
    if label not in known:
        raise InvalidInput(
            f"The gallery has no label {label!r}.", did_you_mean(label, known) or "glocal gallery list shows them."
        )
    entries = gallery.entries
    return [str(name) for name in entries.id_array[entries.labels == entries.classes.index(label)]]


def entries_of(gallery: Gallery) -> Counter[tuple[str, str]]:
    """Id and label of every entry."""
    entries = gallery.entries
    names = (entries.classes[label] for label in entries.labels.tolist())
    return Counter(zip(entries.id_array.tolist(), names, strict=True))


def compare_galleries(before: Release, after: Release) -> GalleryDiff:
    """What the gallery of one release holds and that of another one does not."""
    one, other = entries_of(before.gallery), entries_of(after.gallery)
    labels, others = set(counts_by_label(before.gallery)), set(counts_by_label(after.gallery))
    return GalleryDiff(
        before=_size(before),
        after=_size(after),
        same_space=before.embedding_space_id == after.embedding_space_id,
        same_thresholds=before.calibration == after.calibration,
        labels_added=tuple(sorted(others - labels)),
        labels_removed=tuple(sorted(labels - others)),
        added=_by_label(other - one),
        removed=_by_label(one - other),
    )


def _by_label(entries: Counter[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry, label in sorted(entries.elements()):
        found[label].append(entry)
    return {label: tuple(found[label]) for label in sorted(found)}


def _size(release: Release) -> GallerySize:
    return GallerySize(
        release=release.id,
        embedding_space_id=release.embedding_space_id,
        images=len(release.gallery),
        labels=len(counts_by_label(release.gallery)),
        data=tuple(pin.named for pin in release.gallery_pins),
    )
