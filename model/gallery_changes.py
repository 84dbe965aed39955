"""Changes of a gallery: a release with another one under the same weights. Nothing is trained, so the embedding space stays.

Vectors, local features and enrolled objects of entries that stay are taken over as they are; those of new images are computed.
The thresholds are taken over, because they depend on the space alone. `serving.enrolment` decides whether the result may serve.
"""

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest, read_manifest
from model.data.spread import evenly
from model.detection.enrolling import source_of
from model.detection.exemplars import Exemplars
from model.detection.of_manifest import enrol_rows
from model.detection.references import Describer
from model.detection.stored_exemplars import load_exemplars, save_exemplars
from model.errors import InvalidInput
from model.gallery_entries import Hashes, content, contents, counts_by_label, entries_of, entry_ids, ids_of, origin
from model.golden import QueryImage, query_image, write_golden
from model.named_parts import did_you_mean
from model.networks.architecture import CONFIG, WEIGHTS
from model.progress import Progress
from model.release import EXEMPLARS, LOCAL_FEATURES, Release, seal_release
from model.retrieval.cohort import COHORT
from model.retrieval.embedding import embed_manifest, mapped_images, merged_embedding
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import RECORD, LocalGallery
from model.retrieval.galleries.stored import load_gallery
from model.retrieval.gallery import Gallery
from model.retrieval.local_features import LocalFeatures, features_of_images
from model.retrieval.reranker import Reranker
from model.retrieval.retriever import Retriever
from model.retrieval.stored_reranker import pack, save_reranker
from model.schemas.data_pin import DataPin
from model.schemas.gallery_record import GalleryRecord
from model.schemas.golden import GoldenQuery, Neighbour
from model.text import counted, visible

_LOG = logging.getLogger(__name__)

NEW_GOLDEN = 2
"""Golden queries that an enrolment adds, of its own images."""
MOST_GOLDEN = 16
"""Maximum golden queries of a release whose gallery was changed."""
_ITSELF = 0.999
"""Similarity from which on the best neighbour of a golden image is that image."""
_NAMED = 5
"""Maximum entries that an error names."""
_COMPARED = 1000
"""Maximum ids that a misspelled one is compared with."""


@dataclass(frozen=True)
class PinnedImages:
    """The images of one version of a data set, fetched.

    Attributes:
        pin: The version.
        folder: The folder with its files and its manifest.
        hashes: MD5 of each file, by path.
    """

    pin: DataPin
    folder: Path
    hashes: Mapping[str, str]

    @cached_property
    def manifest(self) -> Manifest:
        """Its samples, without whole scenes.

        Raises:
            InvalidInput: There are none.
        """
        found = read_manifest(self.folder).classified
        if not len(found):
            raise InvalidInput(f"{self.pin.named} has no images for a gallery.", "Name images of objects, not scenes alone.")
        return found


@dataclass(frozen=True)
class Addition:
    """The result of `add_images`.

    Attributes:
        release: The new release; None if every image was in the gallery already.
        copies: For each sample that was not added, by its id, the entry that shows the same under the same label.
    """

    release: Release | None
    copies: dict[str, str]


@dataclass(frozen=True)
class _New:
    """Samples that become entries of a gallery, and the ids that the entries get."""

    manifest: Manifest
    ids: NDArray[np.str_]


def add_images(
    release: Release,
    images: PinnedImages,
    out: Path,
    *,
    hashes: Hashes,
    code_revision: str,
    progress: Progress | None = None,
) -> Addition:
    """Add images to the gallery of a release. A label that is there gets more images, another one becomes a new label.

    Args:
        release: The release, which is not changed.
        images: The images.
        out: Folder of the new release, which is not made if every image is in the gallery already.
        hashes: Tells copies of the gallery's images: MD5 of every file of a pin.
        code_revision: Revision of the code, which the manifest records.
        progress: Called after every batch.

    Raises:
        InvalidInput: There are no images, or the gallery holds one of them under another label.
    """
    manifest, gallery = images.manifest, release.gallery
    copies = _copies(manifest, images.hashes, gallery, contents(release, hashes))
    rows = np.flatnonzero([sample not in copies for sample in manifest.ids.tolist()])
    if not len(rows):
        return Addition(None, copies)
    new = _New(manifest.select(rows), entry_ids(manifest.ids[rows], images.pin, release.pin))
    pins = (*(pin for pin in release.gallery_pins if pin != images.pin), images.pin)
    kept = np.ones(len(gallery), bool)
    return Addition(_remade(release, kept, new, out, pins=pins, code_revision=code_revision, progress=progress), copies)


def replace_gallery(
    release: Release, images: PinnedImages, out: Path, *, code_revision: str, progress: Progress | None = None
) -> Release | None:
    """Give a release a new gallery in place of its own; see `add_images` for the arguments.

    Returns:
        The new release; None if the gallery holds exactly these entries already.

    Raises:
        InvalidInput: There are no images.
    """
    manifest = images.manifest
    new = _New(manifest, entry_ids(manifest.ids, images.pin, release.pin))
    names = [manifest.classes[label] for label in manifest.labels.tolist()]
    if entries_of(release.gallery) == Counter(zip(new.ids.tolist(), names, strict=True)):
        return None
    kept = np.zeros(len(release.gallery), bool)
    return _remade(release, kept, new, out, pins=(images.pin,), code_revision=code_revision, progress=progress)


def remove_images(
    release: Release,
    out: Path,
    *,
    labels: Sequence[str] = (),
    ids: Sequence[str] = (),
    image_of: Callable[[str], QueryImage],
    code_revision: str,
) -> Release:
    """Remove entries from the gallery of a release, with their local features, exemplars and golden queries.

    Args:
        release: The release, which is not changed.
        out: Folder of the new release.
        labels: Labels of which every entry is removed.
        ids: Ids of further entries.
        image_of: Image of an entry that stays, by its id; asked for golden queries if none of the release's own remains.
        code_revision: Revision of the code, which the manifest records.

    Raises:
        InvalidInput: Nothing is named, there is no such label or entry, or nothing would be left.
    """
    gallery = release.gallery
    removed = _named(gallery, labels, ids)
    if not removed:
        raise InvalidInput("Nothing is named that should be removed.", "Name labels or ids.")
    kept = ~np.isin(gallery.entries.id_array, list(removed))
    if not kept.any():
        headline = f"Nothing would be left of the gallery's {counted(len(gallery), 'entry', 'entries')}."
        raise InvalidInput(headline, "A new gallery in its place: glocal gallery build SOURCE.")
    used = {origin(entry, release).pin.named for entry in gallery.entries.id_array[kept].tolist()}
    pins = tuple(pin for pin in release.gallery_pins if pin.named in used)
    return _remade(release, kept, None, out, pins=pins, code_revision=code_revision, image_of=image_of)


def _copies(manifest: Manifest, hashes: Mapping[str, str], gallery: Gallery, known: Mapping[str, str]) -> dict[str, str]:
    """The samples that the gallery holds already, and which entry each is.

    Raises:
        InvalidInput: An entry shows the same image under another label.
    """
    labels = dict(entries_of(gallery).elements())
    found, wrong = {}, []
    for sample, label in zip(manifest.ids.tolist(), manifest.labels.tolist(), strict=True):
        entry = known.get(content(sample, hashes))
        if entry is None:
            continue
        found[sample] = entry
        if labels[entry] != manifest.classes[label]:
            wrong.append(f"{visible(sample)} ({visible(manifest.classes[label])}) is {visible(entry)} ({visible(labels[entry])})")
    if wrong:
        named = "; ".join(wrong[:_NAMED]) + ("; ..." if len(wrong) > _NAMED else "")
        headline = f"{counted(len(wrong), 'image')} in the gallery already under another label: {named}."
        raise InvalidInput(headline, "Correct the labels, or remove those entries first: glocal gallery remove --id ID.")
    return found


def _named(gallery: Gallery, labels: Sequence[str], ids: Sequence[str]) -> set[str]:
    """The ids of the entries that are named."""
    known = set(gallery.entries.id_array.tolist())
    for entry in ids:
        if entry not in known:
            similar = did_you_mean(entry, sorted(known)[:_COMPARED])
            raise InvalidInput(
                f"The gallery has no entry {entry!r}.", f"{similar} See glocal gallery list --label LABEL.".strip()
            )
    return {*ids, *chain.from_iterable(ids_of(gallery, label) for label in labels)}


def _remade(
    release: Release,
    kept: NDArray[np.bool_],
    new: _New | None,
    out: Path,
    *,
    pins: tuple[DataPin, ...],
    code_revision: str,
    image_of: Callable[[str], QueryImage] | None = None,
    progress: Progress | None = None,
) -> Release:
    """The release of the kept entries (N,) and new ones, under the weights, settings and thresholds of `release`."""
    space = release.embedding_space_id
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder)
        for name in (WEIGHTS, CONFIG, "calibration.json", *([COHORT] if release.cohort else [])):
            shutil.copy2(release.folder / name, parts)
        plan = GalleryRecord.load(release.folder / "gallery" / RECORD).plan
        _gallery(release, kept, new, progress).save(parts / "gallery", space, plan)
        gallery = load_gallery(parts / "gallery", space)  # golden answers are those of the index
        reranker = None
        if (old := release.reranker) is not None:
            features = pack(_local_features(release, old, kept, new), release.spec.image_size)
            save_reranker(parts / LOCAL_FEATURES, features, old.reduction, old.ratio, space)
            reranker = Reranker(features, old.reduction, old.ratio, budget_ms=np.inf)  # golden answers do not depend on the time
        if EXEMPLARS in release.manifest.files:
            _save_exemplars(parts / EXEMPLARS, release, kept, new)
        retriever = Retriever(release.network, release.spec.image_size, gallery, reranker)
        write_golden(parts / "golden", _golden_images(release, kept, new, gallery, image_of), retriever)
        return seal_release(parts, out, pin=release.pin, gallery=pins, code_revision=code_revision)


def _gallery(release: Release, kept: NDArray[np.bool_], new: _New | None, progress: Progress | None) -> LocalGallery:
    """The kept entries, then the new ones."""
    old, vectors = release.gallery.entries, release.gallery.embeddings(np.flatnonzero(kept))
    names = [old.classes[label] for label in old.labels[kept].tolist()]
    ids, groups = old.id_array[kept], _groups(old)[kept]
    if new is not None:
        network, size, added = release.network, release.spec.image_size, new.manifest
        embedded = embed_manifest(network.trunk, merged_embedding(network), added, size, progress=progress)
        names += [added.classes[label] for label in added.labels.tolist()]
        vectors, ids = np.concatenate([vectors, embedded]), np.concatenate([ids, new.ids])
        groups = np.concatenate([groups, added.groups])
    classes, labels = np.unique(np.array(names, dtype=str), return_inverse=True)
    in_groups = groups if (groups != "").any() else None
    return LocalGallery(vectors, Entries.of(labels.astype(np.int64), ids, classes.tolist(), in_groups))


def _groups(entries: Entries) -> NDArray[np.str_]:
    groups = entries.group_array
    return np.full(len(entries), "", dtype=str) if groups is None else groups


def _local_features(release: Release, old: Reranker, kept: NDArray[np.bool_], new: _New | None) -> Iterator[LocalFeatures]:
    """The local features of the kept entries, then those of the new ones."""
    yield from (old.features[int(row)] for row in np.flatnonzero(kept))
    if new is not None:
        network, size, rows = release.network, release.spec.image_size, np.arange(len(new.manifest))
        for batch in mapped_images(network.trunk, new.manifest, rows, size):
            yield from features_of_images(network.heads, *batch, size, reduction=old.reduction)


def _save_exemplars(file: Path, release: Release, kept: NDArray[np.bool_], new: _New | None) -> None:
    """Write the exemplars of the kept entries and of the new ones; no file if none remain."""
    found, labelling = load_exemplars(release.folder / EXEMPLARS, space=release.embedding_space_id)
    cut = _cut(found, release.gallery.entries.id_array, kept)
    if new is not None:
        manifest = new.manifest
        try:
            describer = Describer(release.network, release.spec.image_size)
            cut = enrol_rows(manifest, np.arange(len(manifest)), new.ids, describer, beside=cut)
        except InvalidInput as error:
            _LOG.warning("The new objects are searched for, and not detected in scenes: %s", error.headline)
    if cut is None:
        _LOG.warning("No enrolled object is left: the new release does not detect.")
        return
    save_exemplars(file, cut, labelling, release.embedding_space_id)


def _cut(exemplars: Exemplars, ids: NDArray[np.str_], kept: NDArray[np.bool_]) -> Exemplars | None:
    """The exemplars of the kept entries, and the background of images of which an entry is kept; None if no exemplar is left."""
    sources = {source_of(entry) for entry in ids[kept].tolist()}
    gone = {source_of(entry) for entry in ids[~kept].tolist()} - sources
    if not gone and kept.all():
        return exemplars
    mine = ~np.isin(exemplars.ids, ids[~kept])
    cut = exemplars.select(mine, ~np.isin(exemplars.background_sources, list(gone)))
    used, labels = np.unique(cut.labels, return_inverse=True)
    classes = tuple(cut.classes[label] for label in used.tolist())
    return replace(cut, classes=classes, labels=labels.astype(np.int64)) if len(cut) else None


def _golden_images(
    release: Release,
    kept: NDArray[np.bool_],
    new: _New | None,
    gallery: Gallery,
    image_of: Callable[[str], QueryImage] | None,
) -> Iterator[QueryImage]:
    """Images of golden queries: those of the release whose object and image stay, and some of the new ones."""
    labels, gone = set(counts_by_label(gallery)), set(release.gallery.entries.id_array[~kept].tolist())
    valid = [golden for golden in release.golden if kept.any() and _is_valid(golden, labels, gone)]
    count = (NEW_GOLDEN if valid else max(NEW_GOLDEN, len(release.golden))) if new is not None else 0
    chosen = [valid[row] for row in evenly(len(valid), MOST_GOLDEN - count)]
    for golden in chosen:
        file = release.golden_image(golden)
        yield QueryImage(file.read_bytes(), file.suffix)
    if new is not None:
        yield from (query_image(new.manifest, int(row)) for row in evenly(len(new.manifest), min(count, MOST_GOLDEN)))
    elif not chosen and image_of is not None:
        yield from (image_of(gallery.entries.id_of(row)) for row in evenly(len(gallery), NEW_GOLDEN))


def _is_valid(golden: GoldenQuery, labels: set[str], gone: set[str]) -> bool:
    """Whether a golden query asks for an object that stays, and is no image that was removed."""
    best = best_match(golden)
    if best is None:
        return True
    return best.label in labels and not (best.id in gone and best.score >= _ITSELF)


def best_match(golden: GoldenQuery) -> Neighbour | None:
    """The most similar neighbour of a golden query; re-ranking may have put another one first. None for an empty gallery."""
    return max(golden.neighbours, key=lambda neighbour: neighbour.score, default=None)
