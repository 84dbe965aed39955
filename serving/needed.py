"""What a home still needs: the registered versions that are kept, and the releases, data and runs that belong to them."""

from dataclasses import dataclass

from model.errors import GlocalError
from model.home import Home, ServeFolder
from model.schemas.model_version import ModelVersion
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from serving.archive import stored_manifest
from serving.registry.ledger import read_ledger
from serving.registry.models import Registry, registered_versions
from serving.registry.store import refuse_lost_records
from serving.registry.stored import release_in
from serving.rollout.challengers import kept_archives, on_record


@dataclass(frozen=True)
class Needed:
    """What is kept, and the versions that are not.

    Attributes:
        data: MD5s of the data sets that kept versions were made from, or whose images are in their galleries.
        runs: Ids of the runs that made kept versions.
        releases: Ids of the releases of kept versions.
        unneeded: The versions that are not kept.
    """

    data: frozenset[str]
    runs: frozenset[str]
    releases: frozenset[str]
    unneeded: tuple[ModelVersion, ...]


def needed(home: Home, tracking_uri: str, since: int) -> Needed:
    """What the aliases, the endpoint's records and the ledger name.

    A version is kept if it has an alias, if it serves, is tried, or served before what serves, if an entry of the ledger names
    it, as what was to serve or what served until then, or if it was registered since.

    Args:
        home: GLOCAL_HOME.
        tracking_uri: Address of the registry.
        since: The time from which on entries and registrations count, in milliseconds since 1970.

    Raises:
        GlocalError: The registry or the record of what serves cannot be read.
    """
    refuse_lost_records(tracking_uri, home)
    served = _served(home.serve)
    releases = {manifest.release_id for manifest in served} | {entry.release for _, entry in on_record(home.serve)}
    versions = [version for _, version in registered_versions(tracking_uri)]
    named = {
        (entry.model, version)
        for entry in (read_ledger(tracking_uri) if versions else [])
        if max(entry.when, entry.ended or 0) >= since or entry.outcome == "begun"
        for version in (entry.version, entry.before)
    }
    kept = [
        each
        for each in versions
        if each.aliases or each.release in releases or (each.model, each.version) in named or each.created >= since
    ]
    pins = {pin.md5 for each in (*served, *_manifests(tracking_uri, kept)) for pin in (each.data, *each.gallery_pins)}
    return Needed(
        data=frozenset(pins | {each.data_md5 for each in kept}),
        runs=frozenset(each.run_id for each in kept),
        releases=frozenset(releases | {each.release for each in kept}),
        unneeded=tuple(each for each in versions if each not in kept),
    )


def _served(folder: ServeFolder) -> list[ReleaseManifest]:
    """The manifests of the releases in the archives that are kept, as far as the archives are there."""
    files = (folder.store / name for name in sorted(kept_archives(folder)))
    return [stored_manifest(file) for file in files if file.is_file()]


def _manifests(tracking_uri: str, versions: list[ModelVersion]) -> list[ReleaseManifest]:
    """The manifests of the versions whose files are on this machine. A damaged release names no data but that on record."""
    found = []
    for version in versions:
        if (folder := Registry(tracking_uri, version.model).files.folder(version.version)) is not None:
            try:
                found.append(ReleaseManifest.load(release_in(folder) / RELEASE_MANIFEST))
            except GlocalError:
                continue
    return found
