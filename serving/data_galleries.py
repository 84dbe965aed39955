"""The registered versions whose gallery holds a version of a data set: by whose eyes its images can be compared."""

from functools import lru_cache

from model.errors import GlocalError, NotFound
from model.release import Release, open_release
from model.schemas.data_pin import DataPin
from model.schemas.model_version import ModelVersion
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from serving.registry.models import Registry
from serving.registry.stored import release_in

_ENROLLED = 50
"""Versions with a changed gallery whose manifest is looked into, the newest of each model."""
_OPENED = 2
"""Releases that are kept open: their galleries are memory-mapped."""


def galleries_over(tracking_uri: str, pin: DataPin, versions: list[ModelVersion]) -> list[ModelVersion]:
    """The versions among some whose gallery holds a version of a data set: champions first, then the newest.

    A version that was trained on it holds it, unless its gallery was changed, which its manifest says.
    """
    changed = [each for each in versions if each.base_version][:_ENROLLED]
    found = [each for each in versions if each.data_md5 == pin.md5 and not each.base_version and not each.removed]
    found += [each for each in changed if not each.removed and _holds(tracking_uri, each, pin)]
    return sorted(found, key=lambda each: ("champion" not in each.aliases, -(each.created or 0)))


def open_gallery_release(tracking_uri: str, version: ModelVersion) -> Release:
    """The release of a version where it is stored, every file checked; kept open.

    Raises:
        NotFound: It is not stored on this machine.
        InvalidInput: A file of it was changed.
    """
    return _opened(tracking_uri, version.model, version.version, version.release)


@lru_cache(maxsize=_OPENED)
def _opened(tracking_uri: str, model: str, version: str, release: str) -> Release:
    folder = Registry(tracking_uri, model).files.folder(version)
    if folder is None:
        raise NotFound(
            f"The release of {model} {version} does not lie on this machine.",
            "Compare where the registry keeps its files.",
        )
    return open_release(release_in(folder))


def _holds(tracking_uri: str, version: ModelVersion, pin: DataPin) -> bool:
    try:
        pins = _gallery_pins(tracking_uri, version.model, version.version, version.release)
    except GlocalError:
        return False
    return any(each.md5 == pin.md5 for each in pins)


@lru_cache(maxsize=10 * _ENROLLED)
def _gallery_pins(tracking_uri: str, model: str, version: str, release: str) -> tuple[DataPin, ...]:
    """The data of a version's gallery; a release never changes."""
    folder = Registry(tracking_uri, model).files.folder(version)
    if folder is None:
        return ()
    return ReleaseManifest.load(release_in(folder) / RELEASE_MANIFEST).gallery_pins
