"""Versions of data sets: a git repository that names them, DVC that keeps them. The only file that knows either.

    store/repo       git and DVC; `<name>.dvc` pins the folder `<name>`, `.glocal/<name>.json` says how it was imported
    store/remote     where DVC pushes to, unless an s3:// address is given
    store/staging    what is being imported; emptied by the next import
    store/site       DVC's own index

A version exists once its git commit does, and that is made last, after the push. Whatever happens before leaves the old
commit, and the next import starts by putting the working tree back to it. The working tree is the import's own: nothing
is to be kept in it.
"""

import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.data.versions.integrity import file_md5, folder_md5, table_hash
from model.errors import Conflict, GlocalError, InvalidInput, NotFound, Unavailable
from model.files import read_json, write_json, write_text
from model.locks import hold
from model.schemas.data_pin import NAME, DataPin

RECORDS = ".glocal"
_IDENTITY = {
    "user.name": "glocal",
    "user.email": "glocal@localhost",
    "commit.gpgsign": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
}
_CONFIG = """[core]
    analytics = false
    check_update = false
    remote = storage
[cache]
    type = "reflink,hardlink,copy"
['remote "storage"']
    url = ../../remote
"""


def check_name(name: str) -> None:
    """Refuse a name that cannot be a data set's."""
    if not NAME.fullmatch(name) or name.endswith(".dvc") or name in {"dvc.yaml", "dvc.lock"}:
        hint = "Use 1 to 64 of A-Z a-z 0-9 . _ - with no dot in front, and not ending in .dvc."
        raise InvalidInput(f"{name!r} cannot be the name of a data set.", hint)


@contextmanager
def writing(store: Path, waiting: Callable[[], None]) -> Iterator[Path]:
    """Hold the store alone, its repository made or put back to its last commit; yield an empty staging folder.

    Two imports do not mix: the second waits, after it called `waiting`.
    """
    store.mkdir(parents=True, exist_ok=True)
    with hold(store / ".lock", waiting=waiting):
        staging = store / "staging"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        if not (store / "repo").exists():
            _create(store, staging / "repo")
        _restore(store / "repo")
        try:
            yield staging
        except BaseException:
            _restore(store / "repo")
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _create(store: Path, partial: Path) -> None:
    """Make the repository beside, with one commit, and move it into its place."""
    partial.mkdir()
    _git(partial, "init", "--quiet", "--initial-branch=main", "--template=")
    for key, value in _IDENTITY.items():
        _git(partial, "config", key, value)
    with _dvc_errors():
        _dvc().init(str(partial)).close()
    write_text(partial / ".dvc" / "config", _CONFIG)
    _git(partial, "add", "--all")
    _git(partial, "commit", "--quiet", "--message=An empty data repository")
    partial.replace(store / "repo")


def _restore(repo: Path) -> None:
    """Put the working tree back to the last commit. Caches stay: what they hold is named by its hash."""
    (repo / ".git" / "index.lock").unlink(missing_ok=True)
    _git(repo, "reset", "--quiet", "--hard")
    _git(repo, "clean", "--quiet", "-ffd")
    for entry in repo.iterdir():
        if entry.is_dir() and entry.name not in {".git", ".dvc", RECORDS}:
            shutil.rmtree(entry)
    (repo / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)


def recorded(store: Path, name: str) -> tuple[DataPin, dict[str, Any]] | None:
    """The newest pin of `name` and what was recorded when it was imported; None where it was never imported."""
    rev = _last_change(store / "repo", "HEAD", name)
    return (_pin(store / "repo", rev, name), _record(store / "repo", rev, name)) if rev else None


def publish(
    store: Path, name: str, staged: Path, record: dict[str, Any], *, remote: str | None, step: Callable[[str], None]
) -> DataPin:
    """Make `staged` the newest version of `name`: DVC add, push, git commit. Called within `writing`.

    Returns:
        Its pin; the old one where nothing changed.
    """
    repo = store / "repo"
    staged.replace(repo / name)
    _set_remote(repo, remote)
    with _open_dvc(repo, store) as dvc:
        step("add")
        dvc.add([str(repo / name)])
        step("push")
        dvc.push(targets=[str(repo / f"{name}.dvc")])
    write_json(repo / RECORDS / f"{name}.json", record)
    _git(repo, "add", "--all")
    if _git(repo, "status", "--porcelain"):
        before = _git(repo, "rev-parse", "HEAD")
        _git(repo, "commit", "--quiet", f"--message=Import {name}")
        _share(repo, before)
    shutil.rmtree(repo / name)
    return _pin(repo, _last_change(repo, "HEAD", name), name)


def _set_remote(repo: Path, remote: str | None) -> None:
    """Make `remote` (None: the folder `store/remote`) the one this version is pushed to, and fetched from."""
    import configparser

    config = configparser.ConfigParser(interpolation=None)
    config.read(repo / ".dvc" / "config", encoding="utf-8")
    address = remote or "../../remote"
    if remote and "://" not in remote:
        address = str(Path(remote).absolute())
    sections = {section: config[section].get("url") for section in config.sections() if section.startswith("'remote ")}
    section = next((section for section, url in sections.items() if url == address), None)
    if section is None:
        section = f"'remote \"storage-{len(sections)}\"'"
        config[section] = {"url": address}
    config["core"]["remote"] = section.split('"')[1]
    with (repo / ".dvc" / "config").open("w", encoding="utf-8") as stream:
        config.write(stream)


def _share(repo: Path, before: str) -> None:
    """Push to the shared git remote `origin`, where one is set; the commit is taken back if that fails."""
    if "origin" not in _git(repo, "remote").split():
        return
    try:
        _git(repo, "push", "--quiet", "origin", "HEAD")
    except GlocalError as error:
        _git(repo, "reset", "--quiet", "--hard", before)
        hint = "Pull it into the store, then import again."
        raise Conflict("The shared data repository did not take the new version.", hint) from error


def is_complete(store: Path, pin: DataPin) -> bool:
    """Whether everything `pin` names is still in the cache, and its list of files in the remote (where it goes last)."""
    with _open_dvc(store / "repo", store) as dvc:
        cache = dvc.cache.local
        listing = Path(cache.oid_to_path(f"{pin.md5}.dir"))
        if not listing.is_file() or not dvc.cloud.get_remote_odb().exists(f"{pin.md5}.dir"):
            return False
        return all(Path(cache.oid_to_path(entry["md5"])).is_file() for entry in json.loads(listing.read_bytes()))


def resolve(store: Path, reference: str) -> DataPin:
    """The pin of `name` (its newest version) or `name@revision`: a commit, or anything git resolves to one.

    Raises:
        NotFound: There is no such data set or revision.
    """
    name, _, revision = reference.partition("@")
    check_name(name)
    repo = store / "repo"
    if not repo.is_dir():
        raise NotFound("Nothing was imported yet.", "Import a folder first: glocal data import DIR --name NAME")
    commit = _commit(repo, revision or "HEAD")
    if commit is None:
        raise NotFound(f"There is no revision {revision} of the data.", f"glocal data list shows what there is of {name}.")
    found = commit if revision and _show(repo, commit, f"{name}.dvc") is not None else _last_change(repo, commit, name)
    if not found or _show(repo, found, f"{name}.dvc") is None:
        raise NotFound(f"There is no data set {reference}.", "Import it first: glocal data import DIR --name NAME")
    return _pin(repo, found, name)


def datasets(store: Path) -> list[DataPin]:
    """The newest pin of every data set, by name."""
    repo = store / "repo"
    if not repo.is_dir():
        return []
    files = _git(repo, "ls-tree", "--name-only", "HEAD").splitlines()
    return [resolve(store, file.removesuffix(".dvc")) for file in files if file.endswith(".dvc") and file != ".dvc"]


def fetch(pin: DataPin, store: Path, out_root: Path) -> Path:
    """Materialise exactly what `pin` names as the folder `out_root/<md5>`, and return it.

    A finished folder is used again if no file in it has changed, is missing or was added since.

    Raises:
        NotFound: The revision, or what it names, is gone.
        InvalidInput: What is there is not what was pinned.
    """
    target, table = out_root / pin.md5, out_root / f"{pin.md5}.json"
    out_root.mkdir(parents=True, exist_ok=True)
    with hold(out_root / f".{pin.md5}.lock"):
        if target.is_dir() and table.is_file() and read_json(table).get("table") == table_hash(target):
            return target
        table.unlink(missing_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{pin.md5}.", dir=out_root))
        try:
            _download(pin, store, partial / "data")
            if (md5 := folder_md5(partial / "data")) != pin.md5 and _drop_damaged(pin, store):
                shutil.rmtree(partial / "data")
                _download(pin, store, partial / "data")
                md5 = folder_md5(partial / "data")
            if md5 != pin.md5:
                _drop_damaged(pin, store)
                hint = "A stored object was changed. Restore the remote, or import the data again."
                raise InvalidInput(f"The data of {pin.path}@{pin.rev[:12]} has the md5 {md5}, not {pin.md5}.", hint)
            shutil.rmtree(target, ignore_errors=True)
            (partial / "data").replace(target)
            write_json(table, {"pin": pin.to_json(), "table": table_hash(target)})
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def _drop_damaged(pin: DataPin, store: Path) -> bool:
    """Remove from the cache what is not what its name says, so that the remote's copy is used; True where there was any."""
    if not (store / "repo").is_dir():
        return False
    with _open_dvc(store / "repo", store) as dvc:
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


def _download(pin: DataPin, store: Path, out: Path) -> None:
    """Get the folder through DVC, from the cache or the remote."""
    where = f"{pin.path}@{pin.rev[:12]}"
    local = store / "repo"
    repo = str(local) if local.is_dir() and _commit(local, pin.rev) else pin.repo
    if Path(repo).is_dir() and _commit(Path(repo), pin.rev) is None:
        raise NotFound(f"{repo} has no revision {pin.rev}.", "Was the store moved or made anew? Import the data again.")
    if Path(repo).is_dir() and (stated := _pin(Path(repo), pin.rev, pin.path).md5) != pin.md5:
        raise InvalidInput(f"{where} has the md5 {stated}, not {pin.md5}.", "The pin does not belong to this revision.")
    missing = f"The data of {where} is neither in the cache nor in the remote."
    # never a hard link: whoever writes to what was fetched must not write to the cache
    config = {"core": {"site_cache_dir": str(store.absolute() / "site")}, "cache": {"type": ["reflink", "copy"]}}
    with _dvc_errors(missing):
        _dvc().get(repo, pin.path, out=str(out), rev=pin.rev, config=config)
    if not out.is_dir():
        raise NotFound(missing, "Restore the remote, or import the data again.")


def _pin(repo: Path, rev: str, name: str) -> DataPin:
    """Read a pin out of a commit."""
    import yaml

    text = _show(repo, rev, f"{name}.dvc")
    if text is None:
        raise NotFound(f"{repo} has no data set {name} at {rev}.", "glocal data list shows what there is.")
    out = yaml.safe_load(text)["outs"][0]
    md5, record = str(out["md5"]).removesuffix(".dir"), _record(repo, rev, name)
    classes, licence = int(record.get("classes", 0)), str(record.get("options", {}).get("licence", ""))
    return DataPin(
        repo=str(repo.absolute()),
        rev=rev,
        path=name,
        md5=md5,
        files=int(out["nfiles"]),
        bytes=int(out["size"]),
        classes=classes,
        licence=licence,
    )


def _record(repo: Path, rev: str, name: str) -> dict[str, Any]:
    text = _show(repo, rev, f"{RECORDS}/{name}.json")
    return dict(json.loads(text)) if text else {}


def _show(repo: Path, rev: str, path: str) -> str | None:
    try:
        return _git(repo, "show", f"{rev}:{path}")
    except GlocalError:
        return None


def _commit(repo: Path, revision: str) -> str | None:
    """The full commit a revision stands for; None where there is none."""
    if revision.startswith("-"):
        return None
    try:
        return _git(repo, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except GlocalError:
        return None


def _last_change(repo: Path, rev: str, name: str) -> str:
    """The last commit up to `rev` that touched `name`; empty where none did."""
    return _git(repo, "log", "-1", "--format=%H", rev, "--", f"{name}.dvc", f"{RECORDS}/{name}.json")


def _git(repo: Path, *arguments: str) -> str:
    """Run git in `repo`, untouched by the environment of a git hook that may have started us; its output, stripped."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith("GIT_SSH")}
    command = ["git", "-c", f"safe.directory={repo.absolute()}", "-C", str(repo), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    if result.returncode:
        raise Unavailable(f"git {arguments[0]} failed in {repo}: {result.stderr.strip()}", "Is the data repository damaged?")
    return result.stdout.strip()


def _dvc() -> Any:
    """DVC's Repo class, with its talk on stdout and its progress bars turned off."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return Repo


@contextmanager
def _open_dvc(repo: Path, store: Path) -> Iterator[Any]:
    with _dvc_errors(), _dvc()(str(repo), config={"core": {"site_cache_dir": str(store.absolute() / "site")}}) as dvc:
        yield dvc


@contextmanager
def _dvc_errors(missing: str = "") -> Iterator[None]:
    """Turn DVC's and the stores' errors into ours."""
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError
    from dvc_data.index import DataIndexDirError

    try:
        yield
    except (DvcException, SCMError, DataIndexDirError, OSError, BotoCoreError, ClientError) as error:
        if _is_absence(error):
            raise NotFound(missing or f"DVC misses a file: {error}.", "Restore the remote, or import the data again.") from error
        raise Unavailable(f"The data store failed: {error}", "Check the remote and its credentials, and try again.") from error


def _is_absence(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that something is not there."""
    while error is not None and not isinstance(error, FileNotFoundError | NotADirectoryError):
        error = error.__cause__
    return error is not None
