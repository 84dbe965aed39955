"""Which registered versions an image or a version of a data set went into: as training data, as test data, or into a gallery.

An image is recognised by the MD5 of its bytes, as DVC lists them: a copy under another name is found, one that was encoded anew
is not.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model.data.manifest import MANIFEST, split_id
from model.data.versions.fetch import fetch, file_hashes, stored_table
from model.data.versions.integrity import file_md5
from model.data.versions.ownership import has_repository
from model.data.versions.pin import check_name, resolve
from model.errors import GlocalError, NotFound
from model.gallery_entries import id_beginning
from model.home import Home
from model.schemas.data_pin import DataPin
from model.schemas.lineage import DataUse, DataUses, SeenImage
from model.schemas.model_version import ModelVersion
from model.schemas.release_manifest import ReleaseManifest
from serving.deployment import fetched_release
from serving.lineage import serving_versions
from serving.registry.models import Registry, registered_versions

_TRAINED, _TESTED = {"train", "val"}, {"test", "scene"}


def uses_of_image(home: Home, tracking_uri: str, image: Path) -> DataUses:
    """The versions that saw an image.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        image: The image.

    Raises:
        NotFound: There is no such file.
    """
    if not image.is_file():
        raise NotFound(f"There is no file {image}.")
    return uses_of_content(home, tracking_uri, file_md5(image))


def uses_of_content(home: Home, tracking_uri: str, md5: str) -> DataUses:
    """The versions that saw an image, by the MD5 of its bytes, in hexadecimal digits.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        md5: The MD5.
    """
    known: dict[str, tuple[SeenImage, ...]] = {}

    def use(version: "_Version", pin: DataPin) -> DataUse | None:
        if pin.md5 not in known:
            known[pin.md5] = _places(home, pin, md5)
        images = known[pin.md5]
        if not images:
            return None
        splits = {seen.split for seen in images} if pin == version.manifest.data else set()
        gallery = version.holds(pin, images)
        found = version.use(pin, trained=bool(splits & _TRAINED), tested=bool(splits & _TESTED), gallery=gallery)
        return found.model_copy(update={"images": images}) if splits or gallery else None

    return _uses(home, tracking_uri, md5, use)


def uses_of_data(home: Home, tracking_uri: str, reference: str) -> DataUses:
    """The versions that were trained on a version of a data set, or whose gallery holds images of it.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        reference: `name`, for any version of the data set, or `name@revision`.

    Raises:
        InvalidInput: The name cannot be that of a data set.
    """
    name, _, revision = reference.partition("@")
    check_name(name)
    md5 = _md5_of(home, reference) if revision else ""

    def use(version: "_Version", pin: DataPin) -> DataUse | None:
        if pin.path != name or not (pin.rev.startswith(revision) or pin.md5 == md5):
            return None
        trained = pin == version.manifest.data
        return version.use(pin, trained=trained, tested=trained, gallery=pin in version.manifest.gallery_pins)

    return _uses(home, tracking_uri, reference, use)


@dataclass(frozen=True)
class _Version:
    """A registered version with the manifest of its release."""

    registry: Registry
    version: ModelVersion
    manifest: ReleaseManifest
    serves: bool

    @property
    def pins(self) -> tuple[DataPin, ...]:
        """The data that it was trained on, and those of its gallery, each once."""
        return (self.manifest.data, *(pin for pin in self.manifest.gallery_pins if pin != self.manifest.data))

    def use(self, pin: DataPin, *, trained: bool, tested: bool, gallery: bool) -> DataUse:
        """The use of a pin by this version."""
        return DataUse(
            model=self.version.model,
            version=self.version.version,
            release=self.version.release,
            aliases=self.version.aliases,
            serves=self.serves,
            data=f"{pin.path}@{pin.rev}",
            trained=trained,
            tested=tested,
            gallery=gallery,
        )

    def holds(self, pin: DataPin, images: tuple[SeenImage, ...]) -> bool:
        """Whether the gallery holds one of these images; a gallery that was changed is asked for its entries."""
        if self.manifest.gallery is None:
            return any(seen.split != "scene" for seen in images)
        if pin not in self.manifest.gallery:
            return False
        beginning = id_beginning(pin, self.manifest.data)
        return any(beginning + seen.path in self._paths for seen in images)

    @cached_property
    def _paths(self) -> frozenset[str]:
        """The ids of the gallery's entries without their boxes."""
        with fetched_release(self.registry, self.version.version) as release:
            return frozenset(split_id(entry)[0] for entry in release.gallery.entries.id_array.tolist())


def _uses(home: Home, tracking_uri: str, asked: str, use: Callable[[_Version, DataPin], DataUse | None]) -> DataUses:
    """What `use` finds in each pin of every version; a version or data that cannot be read are named."""
    serving, uses, unread = serving_versions(home), list[DataUse](), dict[str, None]()
    for registry, version in registered_versions(tracking_uri):
        serves = serving.get(version.model) == version.version
        try:
            opened = _Version(registry, version, registry.files.manifest(version.version), serves)
        except GlocalError as error:
            unread[f"{version.label}: {error.headline}"] = None
            continue
        for pin in opened.pins:
            try:
                found = use(opened, pin)
            except GlocalError as error:
                unread[f"{version.label}, {pin.named}: {error.headline}"] = None
                continue
            uses += [found] if found else []
    return DataUses(asked=asked, uses=tuple(uses), unread=tuple(unread))


def _md5_of(home: Home, reference: str) -> str:
    """The hash of the data that a reference, such as `name@HEAD`, stands for in this home; empty if the home has no such data."""
    try:
        return resolve(home.data, reference).md5
    except GlocalError:
        return ""


def _places(home: Home, pin: DataPin, md5: str) -> tuple[SeenImage, ...]:
    """Where an image is in a version of a data set.

    Raises:
        GlocalError: The data are gone or damaged.
    """
    paths = {path for path, known in file_hashes(pin, home.data, home.datasets).items() if known == md5}
    if not paths:
        return ()
    table = stored_table(home.data, pin) if has_repository(home.data) else None
    with (table or fetch(pin, home.data, home.datasets) / MANIFEST).open(encoding="utf-8", newline="") as stream:
        rows = {(row["path"], row["label"], row["split"]): None for row in csv.DictReader(stream) if row["path"] in paths}
    return tuple(SeenImage(path=path, label=label, split=split) for path, label, split in rows)
