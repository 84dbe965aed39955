"""The rollout: a release put in the place of the one that serves, without a failed request in between.

Register the new version beside the old one, wait for its workers, replay the release's golden queries at its own address,
make it the default, let the old one finish what it was asked, remove it. On any failure the new one is removed and the old
one has never stopped serving.
"""

import contextlib
import time
from pathlib import Path
from typing import Any

from model.errors import Conflict, GlocalError
from model.home import Home, ServeFolder
from model.locks import hold
from model.release import Release, open_release
from serving.backends.torchserve.archive import build_archive, remove_archive
from serving.backends.torchserve.deployed import Deployed, read_deployed, write_deployed
from serving.backends.torchserve.management import Management
from serving.backends.torchserve.process import wait_until
from serving.backends.torchserve.server import bring_up, connect, ensure, restore, tidy
from serving.client import query

SCORE_TOLERANCE = 2e-3
"""How far a score may lie from the golden one: other processors round otherwise."""
_GRACE_S = 0.1
_DRAIN_S = 10.0


def deploy(
    release: Path,
    version: str,
    *,
    home: Home,
    name: str = "glocal",
    workers: int = 1,
    deadline_s: float = 120,
    lock_wait_s: float = 180,
) -> dict[str, Any]:
    """Make a release the one that serves; starts TorchServe where it does not run.

    Args:
        release: The release folder; it is verified first.
        version: The model version it is served as.
        home: GLOCAL_HOME.
        name: The served model.
        workers: Processes that serve it.
        deadline_s: For its workers to get ready.
        lock_wait_s: For another deployment to finish.

    Returns:
        `address`, `name`, `version`, `release`, `embedding_space_id`, and `golden`: how many golden queries were replayed.

    Raises:
        InvalidInput: The release is not whole.
        Conflict: Another deployment does not finish, or this version serves with another release.
        GlocalError, Unavailable: The release cannot be loaded, or its golden queries fail; what served before still serves.
    """
    opened = open_release(release)
    folder = home.serve
    with hold(folder.deploy_lock, wait_s=lock_wait_s, busy="Another deployment is under way."):
        running = ensure(folder)
        with connect(folder, running) as server:
            with contextlib.suppress(GlocalError):  # what cannot be brought back must not stand in the way of what replaces it
                restore(server, folder)
            tidy(server, folder, name)
            old = _serving(server, folder, name)
            if old is None or old.version != version:
                _replace(server, folder, name, opened, version, old, workers, deadline_s)
            elif old.release != opened.id:
                headline = f"{name} {version} serves release {old.release}, not {opened.id}."
                raise Conflict(headline, "Register the release as a new version.")
        replayed = replay_golden(opened, running.address, name, version)
    return {
        "address": running.address,
        "name": name,
        "version": version,
        "release": opened.id,
        "embedding_space_id": opened.embedding_space_id,
        "golden": replayed,
    }


def replay_golden(release: Release, address: str, name: str, version: str) -> int:
    """Ask a version the release's golden queries; returns how many there are.

    Raises:
        GlocalError: It answers with another release, with other neighbours (but for ties) or with other scores.
    """
    for golden in release.golden:
        expected = golden["neighbours"]
        image = release.folder / "golden" / golden["file"]
        answer = query(address, name, image, max(1, len(expected)), version=version)
        if answer["release"] != release.id or not same_neighbours(answer["neighbours"], expected):
            raise GlocalError(
                f"{name} {version} does not answer golden query {golden['file']} as release {release.id} must.",
                "It is not put to use; run the pipeline again.",
            )
    return len(release.golden)


def same_neighbours(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Whether scores agree rank by rank, and ids up to the order of equal scores and to which of them made the last place."""
    if len(found) != len(expected):
        return False
    near = all(abs(one["score"] - other["score"]) <= SCORE_TOLERANCE for one, other in zip(found, expected, strict=True))
    last = expected[-1]["score"] if expected else 0.0
    scores = {each["id"]: each["score"] for each in expected}
    return near and all(abs(each["score"] - scores.get(each["id"], last)) <= SCORE_TOLERANCE for each in found)


def _serving(server: Management, folder: ServeFolder, name: str) -> Deployed | None:
    entry = read_deployed(folder.deployed).get(name)
    return entry if entry is not None and entry.version in [each["version"] for each in server.versions(name)] else None


def _replace(
    server: Management,
    folder: ServeFolder,
    name: str,
    release: Release,
    version: str,
    old: Deployed | None,
    workers: int,
    deadline_s: float,
) -> None:
    archive = build_archive(release.folder, folder.store, name=name, version=version)
    new = Deployed(version, archive.path.name, archive.sha256, release.id, release.embedding_space_id, workers)
    try:
        bring_up(server, folder, name, new, deadline_s=deadline_s)
        replay_golden(release, server.inference, name, version)
        server.set_default(name, version)
        write_deployed(folder.deployed, name, new)
    except BaseException:
        if read_deployed(folder.deployed).get(name) != new:
            _undo(server, folder, name, new, old)
        raise
    if old is not None:
        _drain(server, name, old.version, release)
        server.unregister(name, old.version)
        remove_archive(folder.store / old.archive)


def _undo(server: Management, folder: ServeFolder, name: str, new: Deployed, old: Deployed | None) -> None:
    """Leave nothing of the new version. The server may be what failed, so what it answers does not hide why we are here."""
    with contextlib.suppress(GlocalError):
        if old is not None:
            server.set_default(name, old.version)
    with contextlib.suppress(GlocalError):
        server.unregister(name, new.version)
    remove_archive(folder.store / new.archive)


def _drain(server: Management, name: str, version: str, release: Release) -> None:
    """Let a version that is no longer the default answer what it was asked before.

    Its queue is first in, first out: once a query of ours has come back, whatever came before has at least reached a worker.
    What other workers still hold then gets a few times as long as that query took.
    """
    image = release.folder / "golden" / release.golden[0]["file"] if release.golden else None
    time.sleep(_GRACE_S)
    began = time.monotonic()
    with contextlib.suppress(GlocalError):
        if image is not None:
            query(server.inference, name, image, 1, version=version)
    wait_until(lambda: not server.waiting(name, version), deadline_s=_DRAIN_S)
    time.sleep(_GRACE_S + min(3 * (time.monotonic() - began), _DRAIN_S))
