"""Rebuild of deployed.json from the server, the store and the registry.

A version is put on record again if its last deployment in this home succeeded, so that it answered its golden queries, and if
its archive is whole. The versions of a model are tried in this order: what is loaded; if nothing is, the champion, then what is
stored, the version that was promoted last first.
"""

from collections.abc import Iterator, Sequence

from model.errors import GlocalError
from model.home import Home
from model.schemas.status import Difference
from serving.archive import build_archive, remove_archive
from serving.deployment import ModelRecords, fetched_release, serving_place
from serving.golden import replay_golden
from serving.rollout.challengers import read_challengers
from serving.rollout.deployed import Deployed, read_deployed
from serving.rollout.endpoint import Endpoint
from serving.rollout.leftovers import record_from_store, set_damaged_aside, stored_versions


def rebuild_record(home: Home, tracking_uri: str, endpoint: Endpoint | None) -> Iterator[Difference]:
    """Put on record again what was deployed, where deployed.json is damaged, is missing or does not name it.

    Args:
        home: GLOCAL_HOME, whose deployment lock the caller holds.
        tracking_uri: Address of the registry.
        endpoint: The server, which is only read; None if none runs.

    Raises:
        GlocalError: The registry or the server cannot be read.
    """
    damaged = set_damaged_aside(home.serve)
    if damaged is not None:
        yield damaged
    loaded = endpoint.server.held() if endpoint else {}
    names = {name for name, _ in stored_versions(home.serve)}.union(loaded) - read_deployed(home.serve.deployed).keys()
    for name in sorted(names):
        entry = _record_again(ModelRecords.open(home, tracking_uri, name), endpoint)
        if entry is not None:
            was = f"{home.serve.deployed.name} did not name version {entry.version}, which was deployed."
            yield Difference(model=name, found=was, done="It is on record again.")


def _record_again(model: ModelRecords, endpoint: Endpoint | None) -> Deployed | None:
    """Put the version that was deployed under a name on record; returns None if there is none."""
    outcomes = model.ledger.outcomes(serving_place(model.home))
    loaded = endpoint.loaded(model.name) if endpoint else []
    candidates = _candidates(model, loaded, list(outcomes))
    versions = [each for each in candidates if outcomes.get(each, "promoted") == "promoted"]
    for version in versions:
        workers = _workers(endpoint, model.name, version)
        release = model.registry.release_of(version)
        entry = record_from_store(model.home.serve, model.name, version, release, workers=workers)
        if entry is None and endpoint is not None and version in loaded and release is not None:
            entry = _pack_again(model, endpoint, version, release, workers)
        if entry is not None:
            return entry
    return _of_other_records(model, endpoint, versions)


def _of_other_records(model: ModelRecords, endpoint: Endpoint | None, versions: list[str]) -> Deployed | None:
    """Put a version on record that this registry has with another release: it serves on, and `serving.reconcile` reports it."""
    for version in versions:
        workers = _workers(endpoint, model.name, version)
        entry = record_from_store(model.home.serve, model.name, version, None, workers=workers)
        if entry is not None:
            return entry
    return None


def _candidates(model: ModelRecords, loaded: Sequence[str], promoted: Sequence[str]) -> list[str]:
    """The versions that may have been deployed under a name, the likeliest first. A challenger was not.

    Args:
        model: Records of the model.
        loaded: Its versions at the server. While one of them answers, no other one is put on record.
        promoted: Versions that the ledger names, newest first.
    """
    challenger = read_challengers(model.home.serve.challengers).get(model.name)
    own = [each for each in loaded if challenger is None or each != challenger.version]
    if own:
        return own
    stored = [version for name, version in stored_versions(model.home.serve) if name == model.name]
    latest = sorted(stored, key=lambda version: promoted.index(version) if version in promoted else len(promoted))
    known = dict.fromkeys((model.registry.alias("champion"), *latest))
    return [each for each in known if each is not None and (challenger is None or each != challenger.version)]


def _pack_again(model: ModelRecords, endpoint: Endpoint, version: str, release_id: str, workers: int) -> Deployed | None:
    """Put a version that serves without a whole archive on record, with a new archive; None if that is impossible."""
    store = model.home.serve.store
    try:
        with fetched_release(model.registry, version) as release:
            replay_golden(release, endpoint.client, model.name, version)
            wrapping = endpoint.backend.wrapping(model.name, version)
            archive = build_archive(release, store, name=model.name, version=version, wrapping=wrapping)
    except GlocalError:
        return None
    entry = record_from_store(model.home.serve, model.name, version, release_id, workers=workers)
    if entry is None:
        remove_archive(archive.path)
    return entry


def _workers(endpoint: Endpoint | None, name: str, version: str) -> int:
    """Number of workers of a version at the server, at least 1."""
    served = endpoint.server.held().get(name, ()) if endpoint else ()
    return max((len(each.workers) for each in served if each.version == version), default=1) or 1
