"""From a name, or a name and a revision, to the pin of one version of a data set. Nothing is written here."""

import configparser
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.data.versions.git_command import commit_of, git, show
from model.data.versions.ownership import has_repository
from model.errors import InvalidInput, NotFound
from model.home import DataStore
from model.schemas.data_pin import DATASET_NAME, DataPin

RECORDS = ".glocal"
"""Folder of the repository with the record of each data set's import, a JSON file."""


def check_name(name: str) -> None:
    """Refuse a name that cannot be the name of a data set."""
    if not DATASET_NAME.fullmatch(name) or name.endswith(".dvc") or name in {"dvc.yaml", "dvc.lock"}:
        hint = "Use 1 to 64 of A-Z a-z 0-9 . _ - with no dot in front, and not ending in .dvc."
        raise InvalidInput(f"{name!r} cannot be the name of a data set.", hint)


def pin_file(name: str) -> str:
    """DVC's file of a data set, in the repository."""
    return f"{name}.dvc"


def record_file(name: str) -> str:
    """The record of a data set's import, in the repository."""
    return f"{RECORDS}/{name}.json"


def recorded(store: DataStore, name: str) -> tuple[DataPin, dict[str, Any]] | None:
    """The newest pin of `name` and the record of its import; None if it was never imported."""
    rev = last_change(store.repo, "HEAD", name)
    return (read_pin(store.repo, rev, name), _record(store.repo, rev, name)) if rev else None


def import_record(store: DataStore, pin: DataPin) -> dict[str, Any]:
    """The record of a version's import; empty if the store does not hold the version."""
    return _record(store.repo, pin.rev, pin.path)


def resolve(store: DataStore, reference: str) -> DataPin:
    """The pin of `name`, which stands for its newest version, or of `name@revision`, with any revision that git resolves.

    Raises:
        NotFound: There is no such data set or revision.
        InvalidInput: Glocal did not make the data repository.
    """
    name, _, revision = reference.partition("@")
    check_name(name)
    repo = store.repo
    if not has_repository(store):
        hint = "Import a folder first: glocal data import DIR --name NAME. Another home: set GLOCAL_HOME."
        raise NotFound(f"Nothing was imported into {store.home.root} yet.", hint)
    commit = commit_of(repo, revision or "HEAD")
    if commit is None:
        raise NotFound(f"There is no revision {revision} of the data.", f"glocal data list {name} shows its revisions.")
    last = commit if revision and show(repo, commit, pin_file(name)) is not None else last_change(repo, commit, name)
    if not last or show(repo, last, pin_file(name)) is None:
        raise NotFound(f"There is no data set {reference}.", "Import it first: glocal data import DIR --name NAME")
    return read_pin(repo, last, name)


def dataset_names(store: DataStore) -> list[str]:
    """The names of all data sets."""
    if not has_repository(store):
        return []
    files = git(store.repo, "ls-tree", "--name-only", "HEAD").splitlines()
    return [file.removesuffix(".dvc") for file in files if file.endswith(".dvc") and file != ".dvc"]


def datasets(store: DataStore) -> list[DataPin]:
    """The newest pin of every data set, by name."""
    return [resolve(store, name) for name in dataset_names(store)]


def versions(store: DataStore, name: str) -> list[tuple[datetime, DataPin]]:
    """Every version of a data set with the time of its import, newest first; of `name@revision` that version alone.

    Raises:
        NotFound: There is no such data set or revision.
        InvalidInput: The name cannot be that of a data set, or Glocal did not make the data repository.
    """
    pin = resolve(store, name)  # explains a name that is none
    name, _, revision = name.partition("@")
    which = ("-1", pin.rev) if revision else ("HEAD",)
    lines = git(store.repo, "log", "--format=%H %cI", *which, "--", pin_file(name), record_file(name)).splitlines()
    commits = [line.split(" ") for line in lines]
    return [
        (datetime.fromisoformat(moment).astimezone(UTC), read_pin(store.repo, rev, name))
        for rev, moment in commits
        if show(store.repo, rev, pin_file(name)) is not None
    ]


def read_pin(repo: Path, rev: str, name: str) -> DataPin:
    """Read a pin out of a commit.

    Raises:
        NotFound: The commit holds no data set of that name.
    """
    import yaml

    text = show(repo, rev, pin_file(name))
    if text is None:
        raise NotFound(f"{repo} has no data set {name} at {rev}.", "glocal data list shows what there is.")
    out = yaml.safe_load(text)["outs"][0]
    record = _record(repo, rev, name)
    return DataPin(
        repo=_address(repo),
        rev=rev,
        path=name,
        md5=str(out["md5"]).removesuffix(".dir"),
        files=int(out["nfiles"]),
        bytes=int(out["size"]),
        classes=int(record.get("classes", 0)),
        licence=str(record.get("options", {}).get("licence", "")),
        dropped=record.get("dropped", {}),
    )


def last_change(repo: Path, rev: str, name: str) -> str:
    """The last commit up to `rev` that changed `name`; empty if there is none."""
    return git(repo, "log", "-1", "--format=%H", rev, "--", pin_file(name), record_file(name))


def _address(repo: Path) -> str:
    """The address of the repository that is shared, or else the folder."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(OSError, configparser.Error):  # git writes more into it than this reader knows
        config.read(repo / ".git" / "config", encoding="utf-8")
    return config.get('remote "origin"', "url", fallback="") or str(repo.absolute())


def _record(repo: Path, rev: str, name: str) -> dict[str, Any]:
    text = show(repo, rev, record_file(name))
    return dict(json.loads(text)) if text else {}
