"""Leftovers of killed deployments in the store, and the repair of damaged records."""

import re

from model.errors import GlocalError
from model.files import set_aside
from model.home import ServeFolder
from model.schemas.status import Difference
from serving.archive import archive_file, remove_archive, stored_manifest, verify_archive
from serving.rollout.challengers import kept_archives
from serving.rollout.deployed import Deployed, damage, record_of, write_deployed

_ARCHIVE = re.compile(r"(?P<name>[A-Za-z0-9_-]+)-(?P<version>[A-Za-z0-9._]+)\.mar")


def clear_store(folder: ServeFolder) -> list[Difference]:
    """Remove archives that are not on record, and files whose writer was killed.

    The caller holds the lock of deployments.
    """
    kept = kept_archives(folder)
    strays = [file for file in folder.store.glob("*.mar") if file.name not in kept]
    hashes = [file for file in folder.store.glob("*.mar.sha256") if not file.with_suffix("").exists()]
    partial = list(folder.store.glob(".*.mar*.*"))
    for archive in strays:
        remove_archive(archive)
    for file in (*hashes, *partial):
        file.unlink(missing_ok=True)
    names = sorted(file.name for file in (*strays, *hashes, *partial))
    return [Difference(model="", found=f"The store held {', '.join(names)}, not on record.", done="Removed.")] if names else []


def discard_archive(folder: ServeFolder, name: str) -> None:
    """Remove an archive, unless a record names it, or the record is damaged."""
    if damage(folder.deployed) is None and name not in kept_archives(folder):
        remove_archive(folder.store / name)


def stored_versions(folder: ServeFolder) -> set[tuple[str, str]]:
    """Name and version of every archive in the store."""
    matches = (_ARCHIVE.fullmatch(file.name) for file in folder.store.glob("*.mar"))
    return {(match["name"], match["version"]) for match in matches if match}


def stored_models(folder: ServeFolder) -> set[str]:
    """Name of every model that has an archive in the store."""
    return {name for name, _ in stored_versions(folder)}


def set_damaged_aside(folder: ServeFolder) -> Difference | None:
    """Rename a damaged deployed.json, or what is in its place, so that it can be made again."""
    error = damage(folder.deployed)
    if error is None:
        return None
    aside = set_aside(folder.deployed)
    return Difference(model="", found=error.headline, done=f"It is kept as {aside.name} and made again.")


def record_from_store(
    folder: ServeFolder, name: str, version: str, release_id: str | None, *, workers: int = 1
) -> Deployed | None:
    """Put a version on record from its archive in the store, if the archive is whole and holds the release.

    Args:
        folder: Folder of the endpoint's files.
        name: Name of the served model.
        version: The version that served.
        release_id: Id of that version's release; None if the registry does not have the version.
        workers: Number of worker processes.

    Returns:
        The new record; None if there is no such archive.
    """
    try:
        archive = verify_archive(archive_file(folder.store, name, version))
        manifest = stored_manifest(archive.path)
    except (GlocalError, OSError, ValueError):
        return None
    entry = record_of(archive, manifest, version, workers)
    if release_id not in {None, entry.release}:
        return None
    write_deployed(folder.deployed, name, entry)
    return entry
