"""What is known of the versions of data sets, read once: a version never changes, so what git says is kept by its commit."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from fastapi import Request

from dashboard.outage import unless_down
from model.data.versions import pin as pins
from model.data.versions.git_command import commit_of
from model.data.versions.stored import StoredVersion, open_stored
from model.errors import GlocalError, NotFound
from model.home import DataStore
from model.schemas.data_pin import DataPin
from model.schemas.model_version import ModelVersion
from serving.registry.models import every_version
from serving.registry.store import refuse_lost_records

SHORT = 12
"""Digits of a revision in an address."""
_REVISION = re.compile("[0-9a-f]{4,40}")


def store_of(request: Request) -> DataStore:
    """The store of the home that the dashboard shows."""
    store: DataStore = request.app.state.environment.home.data
    return store


def all_datasets(store: DataStore) -> tuple[DataPin, ...]:
    """The newest version of every data set, by name."""
    return _datasets(store, _head(store))


def all_versions(store: DataStore, name: str) -> tuple[tuple[datetime, DataPin], ...]:
    """Every version of a data set with the time of its import, newest first."""
    return _versions(store, _head(store), name)


def chosen(store: DataStore, reference: str) -> DataPin:
    """The version that `name` or `name@revision` stands for. A revision is some digits of a commit, as addresses have it.

    Raises:
        NotFound: There is no such data set or revision.
        InvalidInput: The name cannot be that of a data set.
    """
    name, at, revision = reference.partition("@")
    if at and not _REVISION.fullmatch(revision):
        raise NotFound(f"There is no revision {revision[:50]} of {name[:64]}.", "The page of the data set lists its revisions.")
    return _chosen(store, _head(store), reference)


def record_of(store: DataStore, pin: DataPin) -> dict[str, Any]:
    """The record of a version's import."""
    return _record(store, pin.rev, pin.path)


def opened(store: DataStore, pin: DataPin) -> StoredVersion | None:
    """The version with its samples; None if its files are not on this machine, or damaged."""
    try:
        return open_stored(store, pin.md5)
    except GlocalError:
        return None


def address_of(pin: DataPin) -> str:
    """The address of a version's page."""
    return f"/data/{pin.path}@{pin.rev[:SHORT]}"


def registered(request: Request) -> tuple[list[ModelVersion], str]:
    """All registered versions, and why they cannot be read; empty if they can. What is known to be down is not waited for."""
    environment = request.app.state.environment

    def read() -> list[ModelVersion]:
        refuse_lost_records(environment.mlflow_uri, environment.home)
        return every_version(environment.mlflow_uri)

    found, lost = unless_down(request, read)
    return found or [], lost.error.headline if lost else ""


def trained_on(versions: list[ModelVersion], *pins_: DataPin) -> list[ModelVersion]:
    """The versions among some that were trained on one of these versions of data, champions first."""
    hashes = {pin.md5 for pin in pins_}
    return sorted((each for each in versions if each.data_md5 in hashes), key=lambda each: "champion" not in each.aliases)


def _head(store: DataStore) -> str:
    return commit_of(store.repo, "HEAD") or "" if store.repo.is_dir() else ""


@lru_cache(maxsize=4)
def _datasets(store: DataStore, head: str) -> tuple[DataPin, ...]:
    return tuple(pins.datasets(store))


@lru_cache(maxsize=64)
def _versions(store: DataStore, head: str, name: str) -> tuple[tuple[datetime, DataPin], ...]:
    return tuple(pins.versions(store, name))


@lru_cache(maxsize=256)
def _chosen(store: DataStore, head: str, reference: str) -> DataPin:
    return pins.resolve(store, reference)


@lru_cache(maxsize=16)
def _record(store: DataStore, rev: str, name: str) -> dict[str, Any]:
    return pins.import_record(store, pins.read_pin(store.repo, rev, name))
