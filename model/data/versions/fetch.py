"""From a pin to a folder with exactly the pinned files, checked by their hash."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.claim import claim
from model.data.manifest import MANIFEST, class_names
from model.data.versions.dvc_session import dvc_class, open_dvc
from model.data.versions.git_command import commit_of
from model.data.versions.integrity import file_md5, folder_md5, table_hash
from model.data.versions.ownership import has_repository
from model.data.versions.pin import read_pin
from model.disk import disk_errors
from model.errors import InvalidInput, NotFound
from model.files import read_json, write_json
from model.home import DataStore
from model.locks import hold
from model.redaction import redacted
from model.schemas.data_pin import DataPin


def fetch(pin: DataPin, store: DataStore, out_root: Path) -> Path:
    """Write the files of a pin to the folder `out_root/<md5>`, and return it.

    A finished folder is used again if no file in it was changed, removed or added.

    Raises:
        NotFound: The revision or its files are gone.
        InvalidInput: The files are not those that were pinned.
        StorageFailed: The disk is full or read-only.
    """
    claim(store.home)
    target, table = out_root / pin.md5, out_root / f"{pin.md5}.json"
    with disk_errors(out_root), _alone(pin, out_root):
        if target.is_dir() and table.is_file() and read_json(table).get("table") == table_hash(target):
            return target
        table.unlink(missing_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{pin.md5}.", dir=out_root))
        try:
            _download_checked(pin, store, partial / "data")
            shutil.rmtree(target, ignore_errors=True)
            (partial / "data").replace(target)
            write_json(table, {"pin": pin.to_json(), "table": table_hash(target)})
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def is_complete(store: DataStore, pin: DataPin) -> bool:
    """Whether all files of a pin are in the cache, and the list of them in the remote, where it is pushed last."""
    with open_dvc(store) as dvc:
        cache = dvc.cache.local
        listing = Path(cache.oid_to_path(f"{pin.md5}.dir"))
        if not listing.is_file() or not dvc.cloud.get_remote_odb().exists(f"{pin.md5}.dir"):
            return False
        return all(Path(cache.oid_to_path(entry["md5"])).is_file() for entry in json.loads(listing.read_bytes()))


def stored_classes(store: DataStore, pin: DataPin) -> frozenset[str]:
    """Names of the classes of a version; empty if its table is not in the cache."""
    table = stored_table(store, pin)
    return class_names(table) if table is not None else frozenset()


def stored_table(store: DataStore, pin: DataPin) -> Path | None:
    """File with the table of a version's samples; None if it is not in the cache."""
    with open_dvc(store) as dvc:
        cache = dvc.cache.local
        listing = Path(cache.oid_to_path(f"{pin.md5}.dir"))
        entries = json.loads(listing.read_bytes()) if listing.is_file() else []
        table = next((Path(cache.oid_to_path(entry["md5"])) for entry in entries if entry["relpath"] == MANIFEST), None)
        return table if table is not None and table.is_file() else None


def file_hashes(pin: DataPin, store: DataStore, out_root: Path) -> dict[str, str]:
    """The MD5 of every file of a pin, by path: as DVC lists them, or else of the fetched files; see `fetch`.

    Raises:
        NotFound: The revision or its files are gone.
        InvalidInput: The files are not those that were pinned.
    """
    if has_repository(store):
        with open_dvc(store) as dvc:
            listing = Path(dvc.cache.local.oid_to_path(f"{pin.md5}.dir"))
            if listing.is_file() and file_md5(listing) == pin.md5:
                return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
    folder = fetch(pin, store, out_root)
    return {path.relative_to(folder).as_posix(): file_md5(path) for path in folder.rglob("*") if path.is_file()}


@contextmanager
def _alone(pin: DataPin, out_root: Path) -> Iterator[None]:
    """Hold the lock of the version, and remove the folder of a killed fetch."""
    out_root.mkdir(parents=True, exist_ok=True)
    with hold(out_root / f".{pin.md5}.lock"):
        for abandoned in out_root.glob(f".{pin.md5}.*"):
            if abandoned.is_dir():
                shutil.rmtree(abandoned, ignore_errors=True)
        yield


def _download_checked(pin: DataPin, store: DataStore, out: Path) -> None:
    """Download the files, and once more from the remote if the cache turns out to be damaged."""
    _download(pin, store, out)
    if (md5 := folder_md5(out)) != pin.md5 and _drop_damaged(pin, store):
        shutil.rmtree(out)
        _download(pin, store, out)
        md5 = folder_md5(out)
    if md5 != pin.md5:
        _drop_damaged(pin, store)
        hint = "A stored object was changed. Restore the remote, or import the data again."
        raise InvalidInput(f"The data of {pin.path}@{pin.rev[:12]} has the md5 {md5}, not {pin.md5}.", hint)


def _drop_damaged(pin: DataPin, store: DataStore) -> bool:
    """Remove the objects from the cache whose hash is not their name, so that the remote's are used; whether there were any."""
    if not has_repository(store):
        return False
    with open_dvc(store) as dvc:
        cache = dvc.cache.local
        listing = Path(cache.oid_to_path(f"{pin.md5}.dir"))
        if not listing.is_file():
            return False
        if file_md5(listing) != pin.md5:
            listing.unlink()
            return True
        objects = {entry["md5"]: Path(cache.oid_to_path(entry["md5"])) for entry in json.loads(listing.read_bytes())}
        damaged = [path for md5, path in objects.items() if path.is_file() and file_md5(path) != md5]
        for path in damaged:
            path.unlink()
        return bool(damaged)


def _download(pin: DataPin, store: DataStore, out: Path) -> None:
    """Copy the folder with DVC from the cache or the remote."""
    where = f"{pin.path}@{pin.rev[:12]}"
    repo = str(store.repo) if has_repository(store) and commit_of(store.repo, pin.rev) else pin.repo
    if Path(repo).is_dir() and commit_of(Path(repo), pin.rev) is None:
        raise NotFound(f"{repo} has no revision {pin.rev}.", "Was the store moved or made anew? Import the data again.")
    if Path(repo).is_dir() and (stated := read_pin(Path(repo), pin.rev, pin.path).md5) != pin.md5:
        raise InvalidInput(f"{where} has the md5 {stated}, not {pin.md5}.", "The pin does not belong to this revision.")
    if not Path(repo).is_dir() and "://" not in repo and ":" not in repo:
        raise NotFound(f"There is no data repository {redacted(repo)}.", "Was the store moved? Import the data again.")
    missing = f"The data of {where} is neither in the cache nor in the remote."
    # no hard links, because a write to a fetched file must not reach the cache
    with dvc_class(store, missing, shared=not Path(repo).is_dir()) as dvc:
        dvc.get(repo, pin.path, out=str(out), rev=pin.rev, config={"cache": {"type": ["reflink", "copy"]}})
    if not out.is_dir():
        raise NotFound(missing, "Restore the remote, or import the data again.")
