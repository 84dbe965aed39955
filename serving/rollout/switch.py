"""The rollout: a release replaces the one that serves, without a failed request in between.

Load the new version beside the old one, wait for its workers, replay the release's golden queries at its own address, put it on
record, which the gateway follows, let the old one answer its waiting queries, unload it. On any failure the new one is unloaded
and the old one has never stopped serving. The archive of the old one stays in the store, so that it is back within seconds.
"""

import contextlib
import time

from model.errors import Conflict, GlocalError
from model.home import Home, ServeFolder
from model.release import Release
from model.schemas.promotion import Deployment
from serving.archive import stored_image
from serving.processes import wait_until
from serving.rollout.challengers import read_challengers, write_challenger
from serving.rollout.deployed import Deployed, read_deployed, write_deployed
from serving.rollout.endpoint import Endpoint, bring_up, pack
from serving.rollout.leftovers import discard_archive

_GRACE_S = 0.1
_DRAIN_S = 10.0


def switch_over(endpoint: Endpoint, release: Release, version: str, *, name: str, workers: int) -> Deployed | None:
    """Bring a version up beside the one that serves, replay its golden queries, and put it on record.

    A version that serves already only has its golden queries replayed.

    Returns:
        The version that served before and is to be retired; None if none did, or if the version serves already.

    Raises:
        Conflict: This version serves with another release.
        GlocalError: The version cannot be loaded or does not verify. It is removed; what served before still serves.
    """
    old = endpoint.serving(name)
    if old is None or old.version != version:
        _replace(endpoint, release, version, name=name, workers=workers)
        return old
    refuse_two_releases(endpoint, name, old, release.id)
    endpoint.replay(release, name, version)
    return None


def refuse_two_releases(endpoint: Endpoint, name: str, serving: Deployed, registered: str) -> None:
    """Refuse to go on where the version that serves is registered with another release.

    Raises:
        Conflict: See `two_releases`.
    """
    if serving.release != registered:
        clash = two_releases(endpoint.folder, serving, registered)
        raise Conflict(f"{name}: {clash.headline}", clash.hint)


def two_releases(folder: ServeFolder, serving: Deployed, registered: str) -> Conflict:
    """The error of a version that serves one release and is registered with another, as after the loss of a registry.

    Args:
        folder: Folder of the endpoint's files.
        serving: The version on record as serving.
        registered: Id of the release that the registry has under the same number.
    """
    return Conflict(
        f"Version {serving.version} serves release {serving.release}, and the registry has release {registered} by that number.",
        "Restore the registry that the version came from. To keep this registry instead: glocal serve stop, move "
        f"{folder.root} and {Home(folder.root.parent).ledger} away, and run the pipeline again: glocal run DIR.",
    )


def deployment(endpoint: Endpoint, release: Release, version: str, name: str) -> Deployment:
    """The deployment after `switch_over`."""
    return Deployment(
        address=endpoint.client.address,
        name=name,
        version=version,
        release=release.id,
        embedding_space_id=release.embedding_space_id,
        golden=len(release.golden),
    )


def retire(endpoint: Endpoint, name: str, old: Deployed | None) -> None:
    """Let a version that no new queries are sent to answer its waiting ones, and unload it.

    Args:
        endpoint: The server.
        name: Name of the served model.
        old: The version to unload; nothing happens if it is None.
    """
    if old is not None:
        _drain(endpoint, name, old)
        endpoint.server.unload(name, old.version)
        discard_archive(endpoint.folder, old.archive)


def undo(endpoint: Endpoint, name: str, new: Deployed) -> None:
    """Unload a version that did not come to serve. If the server itself failed, its errors do not hide the first one."""
    with contextlib.suppress(GlocalError):
        endpoint.server.unload(name, new.version)
    discard_archive(endpoint.folder, new.archive)


def _replace(endpoint: Endpoint, release: Release, version: str, *, name: str, workers: int) -> None:
    packed, known = pack(endpoint, release, version, name=name, workers=workers), endpoint.deployed(name)
    before = known and (known.previous if known.version == version else known.archive)
    new = packed.model_copy(update={"previous": before})
    try:
        bring_up(endpoint, name, new)
        endpoint.replay(release, name, version)
        if known is None or known.version != version:
            _forget_challenger(endpoint, name)  # it was tried beside the version that served
        write_deployed(endpoint.folder.deployed, name, new)
    except BaseException:
        if read_deployed(endpoint.folder.deployed).get(name) != new:
            _forget_challenger(endpoint, name, version)  # it is unloaded
            undo(endpoint, name, new)
        raise
    if known is not None and known.previous:
        discard_archive(endpoint.folder, known.previous)
    with contextlib.suppress(GlocalError):
        endpoint.client.release(name)  # the gateway reads the record now, and knows what serves should the file be lost


def _forget_challenger(endpoint: Endpoint, name: str, version: str | None = None) -> None:
    """Take the challenger of a model off the record: the gateway asks it no more. Only this version, if one is given."""
    challenger = read_challengers(endpoint.folder.challengers).get(name)
    if challenger is not None and version in {None, challenger.version}:
        write_challenger(endpoint.folder.challengers, name, None)


def _drain(endpoint: Endpoint, name: str, old: Deployed) -> None:
    """Let a version answer the queries that it was asked before.

    Its queue is first in, first out: once a query of ours is answered, all earlier queries have at least reached a worker.
    The queries at other workers then get a few times as long as our query took.
    """
    time.sleep(_GRACE_S)
    began = time.monotonic()
    with contextlib.suppress(GlocalError):
        if image := stored_image(endpoint.folder.store / old.archive):
            endpoint.client.search(image, k=1, model=name, version=old.version)
    wait_until(lambda: not endpoint.server.waiting(name, old.version), deadline_s=_DRAIN_S)
    time.sleep(_GRACE_S + min(3 * (time.monotonic() - began), _DRAIN_S))
