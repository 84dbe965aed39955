"""Housekeeping of a home: what no alias, no recent entry of the ledger and no kept version needs is found, and removed.

What is not needed and was neither made nor used for the days of the retention may go; it is described in docs/operations.md. Two
kinds have no age: archives that no record names, and what killed processes left. What serves is never looked at, and while a run,
an import or a training is under way, what it may use stays.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.claim import check_folders, claim
from model.data.versions.fetch import is_complete
from model.data.versions.ownership import has_repository
from model.environment import Environment
from model.errors import Conflict, GlocalError
from model.files import REMOVED, remove_whole
from model.home import ALIVE, BEGUN, RESULT, Home
from model.locks import hold, is_held
from model.retrieval.galleries.milvus import drop_collection, own_collections
from model.schemas.data_pin import DataPin
from model.schemas.gallery_record import GALLERY_RECORD, GalleryRecord, MilvusIndex
from model.schemas.garbage import Garbage, GarbageItem, GarbageKind
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from model.scratch import abandoned
from serving.archive import archive_file, remove_archive, stored_gallery
from serving.needed import Needed, needed
from serving.registry.models import Registry
from serving.rollout.challengers import kept_archives
from serving.rollout.deployed import read_deployed
from serving.rollout.endpoint import deploying
from serving.rollout.leftovers import stored_versions

_DAY_S = 86_400
_MD5 = re.compile(r"[0-9a-f]{32}")
_CACHES = ("features", "images", "training", "embeddings", "reproductions")
_LOCK, _ENDED = "lock", "ended.json"
_LOOKED_AT = (RELEASE_MANIFEST, BEGUN, RESULT, ALIVE, _LOCK)


@dataclass(frozen=True)
class _Look:
    """One look at a home.

    Attributes:
        home: GLOCAL_HOME.
        tracking_uri: Address of the registry.
        before: The time before which unneeded files were last used, in seconds since 1970.
        needed: What is kept.
    """

    home: Home
    tracking_uri: str
    before: float
    needed: Needed

    def old(self, kind: GarbageKind, folders: Iterator[Path]) -> Iterator[GarbageItem]:
        """The folders of a kind that were not written to or read for the days of the retention."""
        for folder in sorted(folders):
            size, used = _measured(folder)
            if used < self.before and not folder.is_symlink():
                yield GarbageItem(kind=kind, path=str(folder), size=size, name=folder.name)


def find_garbage(home: Home, tracking_uri: str, *, days: float) -> Garbage:
    """What may be removed. Nothing is changed.

    Args:
        home: GLOCAL_HOME.
        tracking_uri: Address of the registry.
        days: Days for which what is not needed is kept.

    Raises:
        GlocalError: The registry or the record of what serves cannot be read, so that it is not known what is needed.
    """
    check_folders(home, *home.folders)
    before = time.time() - days * _DAY_S
    look = _Look(home, tracking_uri, before, needed(home, tracking_uri, round(1000 * before)))
    items, stays = [*_archives(look), *_scratch(look)], list[str]()
    if tracking_uri != home.tracking_uri:
        stays.append("Registered versions stay: the registry is not this home's own.")
    if any(is_held(folder / ALIVE) for folder in home.runs.glob("*")):
        return Garbage(
            items=tuple(items), stays=(*stays, "A run is under way: versions, runs, artifacts, work and data sets stay.")
        )
    if tracking_uri == home.tracking_uri:
        items += _versions(look)
    items += [*_runs(look), *_orders(look), *_artifacts(look)]
    if tracking_uri == home.tracking_uri and Environment().milvus_uri:
        try:
            items += _collections(home, {Path(item.path) for item in items})
        except GlocalError as error:
            stays.append(f"Collections in Milvus stay: {error.headline}")
    if is_held(home.data.lock) or any(is_held(lock) for lock in home.work.glob(f"training/*/{_LOCK}")):
        stays.append("An import or a training is under way: work and data sets stay.")
    else:
        items += [*_work(look), *_datasets(look)]
    return Garbage(items=tuple(items), stays=tuple(stays))


def remove_garbage(garbage: Garbage, home: Home, tracking_uri: str, *, days: float) -> Garbage:
    """Remove what was found, as far as it still may be removed; no deployment takes place meanwhile.

    Args:
        garbage: What `find_garbage` found.
        home: GLOCAL_HOME.
        tracking_uri: Address of the registry.
        days: Days for which what is not needed is kept.

    Returns:
        What was removed.

    Raises:
        Conflict: A deployment is under way.
        GlocalError: See `find_garbage`.
    """
    claim(home)
    with deploying(home.serve, wait_s=0):
        now = find_garbage(home, tracking_uri, days=days)
        paths = {item.path for item in garbage.items}
        removed = [item for item in now.items if item.path in paths and _remove(item, home, tracking_uri)]
    return Garbage(items=tuple(removed), stays=now.stays)


def _versions(look: _Look) -> Iterator[GarbageItem]:
    """The stored releases of versions that are not kept. The records of the versions stay."""
    for version in look.needed.unneeded:
        folder = Registry(look.tracking_uri, version.model).files.folder(version.version)
        if folder is not None:
            yield GarbageItem(
                kind="versions", path=str(folder), size=_measured(folder)[0], name=f"{version.model} {version.version}"
            )


def _archives(look: _Look) -> Iterator[GarbageItem]:
    """The archives that no record names, of models on record: those of others may be all that tells what served."""
    serve = look.home.serve
    known, kept = read_deployed(serve.deployed), kept_archives(serve)
    for name, version in sorted(stored_versions(serve)):
        file = archive_file(serve.store, name, version)
        if name in known and file.name not in kept:
            yield GarbageItem(kind="archives", path=str(file), size=_measured(file)[0], name=f"{name} {version}")


def _runs(look: _Look) -> Iterator[GarbageItem]:
    """Logs and reports of ended runs that made no version that is kept."""
    ended = (folder for folder in look.home.runs.glob("[!.]*") if (folder / RESULT).is_file())
    yield from look.old("runs", (folder for folder in ended if not _ids(folder) & look.needed.runs))


def _orders(look: _Look) -> Iterator[GarbageItem]:
    """Orders of the queue that have ended."""
    yield from look.old("orders", (folder for folder in look.home.queue.orders.glob("[!.]*") if (folder / _ENDED).is_file()))


def _ids(run: Path) -> set[str]:
    """The ids that the files of a run state."""
    found = set()
    for file in (run / BEGUN, run / RESULT):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found.add(str(json.loads(file.read_bytes()).get("run_id", "")))
    return found - {""}


def _artifacts(look: _Look) -> Iterator[GarbageItem]:
    """What the steps of a run wrote, if no release in it is kept, and the entries of the step cache that name it."""
    unused = list(look.old("artifacts", look.home.artifacts.glob("[!.]*")))
    garbage = [item for item in unused if not _releases(Path(item.path)) & look.needed.releases]
    yield from garbage
    if garbage:
        named = re.compile("|".join(re.escape(json.dumps(f"{item.path}/")[1:-1]) for item in garbage))
        for entry in sorted(look.home.step_cache.glob("*/*.json")):
            if named.search(entry.read_text(encoding="utf-8", errors="replace")):
                for file in filter(Path.is_file, (entry, entry.with_suffix(".seal"))):
                    yield GarbageItem(kind="artifacts", path=str(file), size=file.stat().st_size, name=file.name)


def _collections(home: Home, going: set[Path]) -> list[GarbageItem]:
    """The collections of this home's registry that no release names which stays: neither a registered one, nor one that a step
    wrote, nor one in an archive.

    Raises:
        GlocalError: Milvus does not answer, or it cannot be read what a release names.
    """
    records = [
        GalleryRecord.load(file)
        for root in (home.root / "mlartifacts", home.artifacts)
        for file in root.rglob(GALLERY_RECORD)
        if going.isdisjoint(file.parents)
    ]
    records += [each for file in home.serve.store.glob("*.mar") if file not in going and (each := stored_gallery(file))]
    named = {record.index.collection for record in records if isinstance(record.index, MilvusIndex)}
    return [GarbageItem(kind="collections", path=name, size=0, name=name) for name in own_collections() if name not in named]


def _releases(folder: Path) -> set[str]:
    """Ids of the releases below a folder."""
    found = set()
    for file in folder.rglob(RELEASE_MANIFEST):
        with contextlib.suppress(GlocalError):
            found.add(ReleaseManifest.load(file).release_id)
    return found


def _work(look: _Look) -> Iterator[GarbageItem]:
    """Feature maps, decoded images, checkpoints and shards of embeddings. Locks stay: another process may be waiting for one."""
    for cache in _CACHES:
        folders = (folder for folder in (look.home.work / cache).glob("[!.]*") if folder.is_dir())
        yield from look.old("work", (folder for folder in folders if not is_held(folder.with_name(f"{folder.name}.lock"))))


def _datasets(look: _Look) -> Iterator[GarbageItem]:
    """Fetched data sets of no kept version that can be fetched again."""
    folders = (folder for folder in look.home.datasets.glob("*") if folder.is_dir() and _MD5.fullmatch(folder.name))
    for item in look.old("datasets", (folder for folder in folders if folder.name not in look.needed.data)):
        with contextlib.suppress(GlocalError, OSError, ValueError, KeyError, TypeError):  # else it is not known to be stored
            pin = DataPin.from_json(json.loads(Path(f"{item.path}.json").read_bytes())["pin"])
            if pin.md5 == Path(item.path).name and has_repository(look.home.data) and is_complete(look.home.data, pin):
                yield item.model_copy(update={"name": f"{pin.path}@{pin.rev[:7]}"})


def _scratch(look: _Look) -> Iterator[GarbageItem]:
    """What killed processes left: temporary folders, and what an earlier housekeeping did not come to delete."""
    home = look.home
    parents = (home.runs, home.artifacts, home.datasets, *(home.work / cache for cache in _CACHES))
    renamed = [found for parent in parents for found in parent.glob(f".*{REMOVED}")]
    renamed += home.step_cache.glob(f"*/.*{REMOVED}")
    renamed += (home.root / "mlartifacts").glob(f"*/*/artifacts/.*{REMOVED}")
    for path in sorted([*abandoned(), *renamed]):
        yield GarbageItem(kind="scratch", path=str(path), size=_measured(path)[0], name=path.name)


def _measured(path: Path) -> tuple[int, float]:
    """Bytes of the files at or below a path, and when one was last written to or read, in seconds since 1970.

    The files that `find_garbage` opens do not count: their times are those of the last look.
    """
    size, used = 0, path.lstat().st_mtime
    files = (Path(parent) / name for parent, _, names in os.walk(path) for name in names) if path.is_dir() else [path]
    for file in files:
        with contextlib.suppress(OSError):  # it is gone
            status = file.lstat()
            size += status.st_size
            if file.name not in _LOOKED_AT:
                used = max(used, status.st_mtime, status.st_atime)
    return size, used


def _remove(item: GarbageItem, home: Home, tracking_uri: str) -> bool:
    """Remove an item; returns whether it was removed: not if it is in use since, or is gone."""
    path = Path(item.path)
    try:
        if item.kind == "versions":
            name, version = item.name.rsplit(" ", 1)
            Registry(tracking_uri, name).remove_files(version)
        elif item.kind == "archives":
            remove_archive(path)
        elif item.kind == "collections":
            drop_collection(item.path)
        elif item.kind == "datasets":
            with hold(home.datasets / f".{path.name}.lock", wait_s=0):
                path.with_name(f"{path.name}.json").unlink(missing_ok=True)  # before: a folder without it is fetched again
                remove_whole(path)
        else:
            remove_whole(path)
    except (Conflict, FileNotFoundError):
        return False
    return True
