"""Enrolment: the gallery of a registered version is changed, gated, and registered, one function each.

Nothing is trained. `model.gallery_changes` makes the release; `serving.promotion.promote_release` puts it to use.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.config import DataConfig, GateConfig
from model.data.importing.dataset_name import is_reference
from model.data.importing.pinning import pin_dataset
from model.data.manifest import read_manifest
from model.data.versions.fetch import fetch, file_hashes
from model.errors import InvalidInput, NotFound, Unavailable
from model.evaluation.card import render_gallery_card
from model.evaluation.gate import check_decided
from model.gallery_entries import compare_galleries, origin
from model.home import DataStore, Home
from model.progress import Progress
from model.release import Release, open_release
from model.schemas.data_pin import DataPin
from model.schemas.decision import DECISION, ComparedChampion, Decision
from model.schemas.gallery import GalleryBase, GalleryChange
from model.schemas.model_version import ModelVersion
from model.schemas.run_record import RunRecord
from model.scratch import scratch_folder
from serving.deployment import fetched_release
from serving.promotion import refuse_another_champion
from serving.reconcile import log_differences, reconcile
from serving.registry.models import Registry
from serving.registry.store import refuse_lost_records

if TYPE_CHECKING:  # they import torch, which most commands and steps do without
    from model.gallery_changes import PinnedImages
    from model.golden import QueryImage

_LOG = logging.getLogger(__name__)


def enrol(
    pin: DataPin,
    base: GalleryBase,
    out: Path,
    *,
    replace: bool,
    home: Home,
    tracking_uri: str,
    code_revision: str,
    progress: Progress | None = None,
) -> GalleryChange:
    """Add the images of a pin to the gallery of a version, or make its gallery of them alone.

    Args:
        pin: The images.
        base: The version whose gallery is changed.
        out: Folder of the new release, which is not made if every image is in the gallery already.
        replace: Whether the gallery is made of these images alone.
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        code_revision: Revision of the code.
        progress: Called after every batch.

    Raises:
        NotFound: There is no such version, or its files or the data are gone.
        InvalidInput: There are no images, or the gallery holds one of them under another label.
    """
    images = _pinned(pin, home.data, home.datasets)
    with fetched_release(Registry(tracking_uri, base.model), base.version) as release:
        return _enrolled(release, images, base, out, replace=replace, home=home, code_revision=code_revision, progress=progress)


def remove(
    labels: Sequence[str],
    ids: Sequence[str],
    base: GalleryBase,
    out: Path,
    *,
    home: Home,
    tracking_uri: str,
    code_revision: str,
) -> GalleryChange:
    """Remove labels and single entries from the gallery of a version; see `enrol` for the other arguments.

    Raises:
        NotFound: There is no such version, or its files are gone.
        InvalidInput: There is no such label or entry, or nothing would be left.
    """
    from model.gallery_changes import remove_images

    with fetched_release(Registry(tracking_uri, base.model), base.version) as release:
        made = remove_images(
            release, out, labels=labels, ids=ids, image_of=_images_of(release, home), code_revision=code_revision
        )
        return _change(base, release, made)


def gate_gallery(
    release_folder: Path, base: GalleryBase, config: GateConfig, out: Path, *, tracking_uri: str, home: Home
) -> Decision:
    """Decide whether a release with a changed gallery may replace the champion, and write `out`/decision.json.

    Args:
        release_folder: Folder of the release.
        base: The version whose gallery was changed, and the champion.
        config: The thresholds; `max_collisions` counts, and whose approval is needed.
        out: Folder of the decision; made if it is missing.
        tracking_uri: Address of the registry.
        home: GLOCAL_HOME.

    Raises:
        Conflict: Another version became champion since the gallery was changed.
        StorageFailed: The registry's database is lost or damaged.
    """
    refuse_lost_records(tracking_uri, home)
    candidate = open_release(release_folder)
    log_differences(reconcile(home, tracking_uri))
    registry = Registry(tracking_uri, base.model)
    refuse_another_champion(base.model, registry.alias("champion"), base.champion)
    decision = _decided(candidate, base, config, tracking_uri)
    decision.save(out / DECISION)
    return decision


def register_gallery(
    release_folder: Path, decision_folder: Path, base: GalleryBase, *, tracking_uri: str, run: RunRecord | None = None
) -> ModelVersion:
    """Keep a release with a changed gallery in the registry, as challenger; one that is registered keeps its version.

    The evidence is the base version's, since the network is the same, with the size and the data of the gallery.

    Args:
        release_folder: Folder of the release.
        decision_folder: Folder of the gate's decision on this release.
        base: The version whose gallery was changed.
        tracking_uri: Address of the registry.
        run: The run that made the release.

    Raises:
        InvalidInput: The release is not whole, or the decision is on another release.
        Conflict: The gate refused the release.
    """
    release, decision = open_release(release_folder), Decision.load(decision_folder / DECISION)
    check_decided(decision, release.id)
    registry = Registry(tracking_uri, base.model)
    before = registry.version(base.version)
    with fetched_release(registry, base.version) as old:
        diff = compare_galleries(old, release)
    evidence: dict[str, str | float] = {
        **before.figures,
        "base_version": base.version,
        "gallery_images": diff.after.images,
        "gallery_labels": diff.after.labels,
        "gallery_data": " ".join(diff.after.data),
    }
    card = render_gallery_card(diff, before.label, decision, run=run)
    version = registry.register(
        release,
        evidence,
        run.id if run else None,
        card=card,
        intervals=before.intervals,
        documents={"decision": decision_folder},
        approval=decision.approval,
        starter=run.user if run else "",
    )
    registry.make_challenger(version)
    return registry.version(version)


def preview_enrolment(
    source: str,
    name: str,
    data: DataConfig,
    base: GalleryBase,
    *,
    replace: bool,
    gate: GateConfig,
    home: Home,
    tracking_uri: str,
    code_revision: str,
    progress: Progress | None = None,
) -> tuple[GalleryChange, Decision | None]:
    """What `enrol` and the gate would say. Nothing is kept: a source is imported into a store of its own that is removed.

    Returns:
        The change, and the decision; None if there is nothing to add.

    Raises:
        GlocalError: As the import and `enrol`.
    """
    registry = Registry(tracking_uri, base.model)
    with scratch_folder("preview") as scratch, fetched_release(registry, base.version) as release:
        store, datasets = home.data, home.datasets
        if not is_reference(source):
            store, datasets = Home(scratch / "home").data, scratch / "home" / "datasets"
        images = _pinned(pin_dataset(source, name or None, store, data, progress=progress).pin, store, datasets)
        out = scratch / "release"
        change = _enrolled(release, images, base, out, replace=replace, home=home, code_revision=code_revision, progress=progress)
        return change, _decided(open_release(out), base, gate, tracking_uri) if change.release else None


def preview_removal(
    labels: Sequence[str],
    ids: Sequence[str],
    base: GalleryBase,
    *,
    gate: GateConfig,
    home: Home,
    tracking_uri: str,
    code_revision: str,
) -> tuple[GalleryChange, Decision]:
    """What `remove` and the gate would say. Nothing is kept."""
    with scratch_folder("preview") as scratch:
        out = scratch / "release"
        change = remove(labels, ids, base, out, home=home, tracking_uri=tracking_uri, code_revision=code_revision)
        return change, _decided(open_release(out), base, gate, tracking_uri)


def _pinned(pin: DataPin, store: DataStore, datasets: Path) -> "PinnedImages":
    from model.gallery_changes import PinnedImages

    return PinnedImages(pin, fetch(pin, store, datasets), file_hashes(pin, store, datasets))


def _enrolled(
    release: Release,
    images: "PinnedImages",
    base: GalleryBase,
    out: Path,
    *,
    replace: bool,
    home: Home,
    code_revision: str,
    progress: Progress | None,
) -> GalleryChange:
    from model.gallery_changes import add_images, replace_gallery

    if replace:
        made = replace_gallery(release, images, out, code_revision=code_revision, progress=progress)
        return _change(base, release, made)
    added = add_images(release, images, out, hashes=_hashes_in(home), code_revision=code_revision, progress=progress)
    return _change(base, release, added.release, added.copies)


def _change(base: GalleryBase, before: Release, made: Release | None, copies: Mapping[str, str] | None = None) -> GalleryChange:
    diff = compare_galleries(before, made or before)
    return GalleryChange(
        version=base.version,
        release=made.id if made else None,
        images=diff.after.images,
        labels=diff.after.labels,
        added={label: len(ids) for label, ids in diff.added.items()},
        removed={label: len(ids) for label, ids in diff.removed.items()},
        copies=dict(copies or {}),
    )


def _decided(candidate: Release, base: GalleryBase, config: GateConfig, tracking_uri: str) -> Decision:
    from model.evaluation.gallery_gate import decide_gallery

    with fetched_release(Registry(tracking_uri, base.model), base.replaced) as before:
        champion = ComparedChampion(name=base.model, version=base.champion, data=before.pin.named) if base.champion else None
        return decide_gallery(candidate, before, champion, config)


def _hashes_in(home: Home) -> Callable[[DataPin], Mapping[str, str]]:
    """The MD5s of a pin's files; none, with a warning, where the data are gone."""

    def hashes(pin: DataPin) -> Mapping[str, str]:
        try:
            return file_hashes(pin, home.data, home.datasets)
        except (NotFound, InvalidInput, Unavailable) as error:
            _LOG.warning("Copies of images of %s are not recognised: %s", pin.named, error.headline)
            return {}

    return hashes


def _images_of(release: Release, home: Home) -> "Callable[[str], QueryImage]":
    """The image of an entry, from the data that it came from."""
    from model.golden import query_image

    def image(entry: str) -> "QueryImage":
        pin, sample = origin(entry, release)
        manifest = read_manifest(fetch(pin, home.data, home.datasets))
        return query_image(manifest, manifest.ids.tolist().index(sample))

    return image
