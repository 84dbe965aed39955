"""The rollout: a release replaces the one that serves, without a failed request in between.

Register the new version beside the old one, wait for its workers, replay the release's golden queries at its own address,
make it the default, let the old one answer its waiting queries, remove it. On any failure the new one is removed and the old
one has never stopped serving.
"""

import contextlib
import time

from model.errors import Conflict, GlocalError
from model.home import ServeFolder
from model.release import Release
from model.schemas.promotion import Deployment
from serving.backends.torchserve.archive import build_archive, remove_archive, stored_image
from serving.backends.torchserve.deployed import Deployed, read_deployed, write_deployed
from serving.backends.torchserve.endpoint import Endpoint, bring_up
from serving.golden import replay_golden
from serving.processes import wait_until

READY_S = 120.0
"""Seconds to wait until the workers of a new version are ready."""
_GRACE_S = 0.1
_DRAIN_S = 10.0


def switch_over(
    endpoint: Endpoint, release: Release, version: str, *, name: str, workers: int, deadline_s: float = READY_S
) -> Deployed | None:
    """Bring a version up beside the one that serves, replay its golden queries, make it the default, put it on record.

    A version that serves already only has its golden queries replayed.

    Returns:
        The version that served before and is to be retired; None if none did, or if the version serves already.

    Raises:
        Conflict: This version serves with another release.
        GlocalError: The version cannot be loaded or does not verify. It is removed; what served before still serves.
    """
    old = endpoint.serving(name)
    if old is None or old.version != version:
        _replace(endpoint, release, version, old, name=name, workers=workers, deadline_s=deadline_s)
        return old
    if old.release != release.id:
        clash = two_releases(endpoint.folder, old, release.id)
        raise Conflict(f"{name}: {clash.headline}", clash.hint)
    replay_golden(release, endpoint.client, name, version)
    return None


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
        f"{folder.root} away, and run the pipeline again: glocal run DIR.",
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
    """Let a version that no new queries are sent to answer its waiting ones, and remove it.

    Args:
        endpoint: The server.
        name: Name of the served model.
        old: The version to remove; nothing happens if it is None.
    """
    if old is not None:
        _drain(endpoint, name, old)
        endpoint.server.unregister(name, old.version)
        remove_archive(endpoint.folder.store / old.archive)


def _replace(
    endpoint: Endpoint, release: Release, version: str, old: Deployed | None, *, name: str, workers: int, deadline_s: float
) -> None:
    new = pack(endpoint, release, version, name=name, workers=workers)
    try:
        bring_up(endpoint, name, new, deadline_s=deadline_s)
        replay_golden(release, endpoint.client, name, version)
        endpoint.server.set_default(name, version)
        write_deployed(endpoint.folder.deployed, name, new)
    except BaseException:
        if read_deployed(endpoint.folder.deployed).get(name) != new:
            undo(endpoint, name, new, old)
        raise
    with contextlib.suppress(GlocalError):
        endpoint.client.release(name)  # the gateway reads the record now, and knows what serves should the file be lost


def pack(endpoint: Endpoint, release: Release, version: str, *, name: str, workers: int) -> Deployed:
    """Build the archive of a version in the store; returns the record that it will have."""
    archive = build_archive(release, endpoint.folder.store, name=name, version=version)
    return Deployed(
        version=version,
        archive=archive.path.name,
        sha256=archive.sha256,
        release=release.id,
        embedding_space_id=release.embedding_space_id,
        workers=workers,
    )


def undo(endpoint: Endpoint, name: str, new: Deployed, old: Deployed | None) -> None:
    """Remove the new version. If the server itself failed, its errors do not hide the first one."""
    with contextlib.suppress(GlocalError):
        if old is not None:
            endpoint.server.set_default(name, old.version)
    with contextlib.suppress(GlocalError):
        endpoint.server.unregister(name, new.version)
    remove_archive(endpoint.folder.store / new.archive)


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
