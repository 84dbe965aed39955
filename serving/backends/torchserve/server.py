"""TorchServe on loopback: start, status, stop. What was deployed serves again after a restart.

Everything lies below one home: `serve/state.json` says which process and which ports, `serve/deployed.json` which model
version, `serve/store` holds the archives, `logs/torchserve` the logs.
"""

from typing import Any

import psutil

from model.claim import claim
from model.errors import GlocalError, Unavailable
from model.home import Home, ServeFolder
from model.locks import hold
from serving.backends.torchserve.archive import remove_archive, verify_archive
from serving.backends.torchserve.configuration import Limits, Ports
from serving.backends.torchserve.deployed import Deployed, read_deployed
from serving.backends.torchserve.management import Management
from serving.backends.torchserve.process import Running, end, find, launch, wait_until

_ATTEMPTS = 3
_LOCK_WAIT_S = 180.0
_PATIENCE_S = 20.0
"""With a server that is alive and does not answer, before it is replaced."""


def start(home: Home, *, ports: Ports | None = None, limits: Limits | None = None, deadline_s: float = 90) -> dict[str, Any]:
    """Start TorchServe unless it runs, and bring back what was deployed.

    Args:
        home: GLOCAL_HOME.
        ports: Wanted ones; one that is taken is replaced by a free one. Default: the last ones, else free ones.
        limits: What the server may use.
        deadline_s: For the server to answer.

    Returns:
        What `status` returns.

    Raises:
        Unavailable: It does not come up; the hint names its log.
        Conflict: Another process is starting or stopping it and does not finish.
    """
    folder = claim(home).serve
    with hold(folder.deploy_lock, wait_s=_LOCK_WAIT_S, busy="A deployment is under way."):
        running = ensure(folder, ports=ports, limits=limits or Limits(), deadline_s=deadline_s)
        with connect(folder, running) as server:
            restore(server, folder)
    return status(home)


def ensure(folder: ServeFolder, *, ports: Ports | None = None, limits: Limits = Limits(), deadline_s: float = 90) -> Running:  # noqa: B008 # frozen
    """The running server, started if need be; whatever is registered there."""
    busy = "TorchServe is being started or stopped by another process."
    with hold(folder.start_lock, wait_s=_LOCK_WAIT_S, busy=busy):
        running = find(folder)
        if running is not None and _answers(running, folder, _PATIENCE_S):
            return running
        return _start_afresh(folder, ports, limits, deadline_s)


def status(home: Home) -> dict[str, Any]:
    """Whether TorchServe runs, where, and what it serves.

    Returns:
        `running`, `log`, and if it runs `healthy`, `pid`, `address`, `management`, `memory_mb` (Java and workers) and `models`:
        by name the `default` version and every version's workers.
    """
    folder = home.serve
    running = find(folder)
    if running is None:
        return {"running": False, "log": str(folder.logs)}
    try:
        with connect(folder, running) as server:
            healthy = server.healthy()
            models = {name: {"default": server.default(name), "versions": server.versions(name)} for name in server.names()}
    except Unavailable:
        healthy, models = False, {}
    return {
        "running": True,
        "healthy": healthy,
        "pid": running.pid,
        "address": running.address,
        "management": running.management,
        "memory_mb": _memory_mb(running.pid),
        "models": models,
        "log": str(folder.logs),
    }


def stop(home: Home) -> bool:
    """End TorchServe and its workers; what was deployed serves again after `start`. Returns whether it ran."""
    folder = home.serve
    if not folder.state.exists():
        return False
    with hold(folder.start_lock, wait_s=_LOCK_WAIT_S, busy="TorchServe is being started by another process."):
        return end(folder)


def connect(folder: ServeFolder, running: Running) -> Management:
    """A client of a running server's management address."""
    return Management(running.address, running.management, log=str(folder.logs))


def bring_up(server: Management, folder: ServeFolder, name: str, entry: Deployed, *, deadline_s: float) -> None:
    """Check an archive's hash and structure, register it and wait for its workers.

    Raises:
        InvalidInput, NotFound: The archive is not the one that was built.
        Unavailable: Its workers do not get ready.
    """
    verify_archive(folder.store / entry.archive, entry.sha256)
    server.register(entry.archive, name)
    server.scale(name, entry.version, entry.workers, deadline_s=deadline_s, retries=0)


def restore(server: Management, folder: ServeFolder) -> None:
    """Register what was deployed where it is missing, and wait for its workers. To be called under the deployment's lock.

    Raises:
        GlocalError: Some version cannot be brought back; the server stays.
    """
    for name, entry in read_deployed(folder.deployed).items():
        registered = [each["version"] for each in server.versions(name)]
        try:
            if entry.version in registered:
                server.scale(name, entry.version, entry.workers, deadline_s=Limits().startup_s)
                continue
            bring_up(server, folder, name, entry, deadline_s=Limits().startup_s)
            server.set_default(name, entry.version)
        except GlocalError as error:
            if entry.version not in registered:
                server.unregister(name, entry.version)
            raise type(error)(f"{name} {entry.version} cannot be brought back: {error.headline}", error.hint) from error


def tidy(server: Management, folder: ServeFolder, name: str) -> None:
    """Put back what a killed deployment left: only the deployed version is registered, is the default, and has an archive."""
    kept = read_deployed(folder.deployed)
    entry = kept.get(name)
    registered = [each["version"] for each in server.versions(name)]
    if entry is not None and entry.version in registered and server.default(name) != entry.version:
        server.set_default(name, entry.version)
    for version in registered:
        if entry is None or version != entry.version:
            server.unregister(name, version)
    for archive in folder.store.glob(f"{name}-*.mar"):
        if archive.name not in {each.archive for each in kept.values()}:
            remove_archive(archive)


def _start_afresh(folder: ServeFolder, ports: Ports | None, limits: Limits, deadline_s: float) -> Running:
    for _ in range(_ATTEMPTS):  # a free port may be taken before Java binds it
        end(folder)
        running = launch(folder, ports, limits)
        if _answers(running, folder, deadline_s):
            return running
        if find(folder) is not None:
            break
    end(folder)
    raise Unavailable("TorchServe did not start.", f"See {folder.logs}/console.log.")


def _answers(running: Running, folder: ServeFolder, deadline_s: float) -> bool:
    with connect(folder, running) as server:
        healthy = wait_until(lambda: server.healthy() or find(folder) is None, deadline_s=deadline_s)
        return healthy and find(folder) is not None


def _memory_mb(pid: int) -> float:
    try:
        server = psutil.Process(pid)
        resident: float = sum(each.memory_info().rss for each in [server, *server.children(recursive=True)])
        return round(resident / 2**20, 1)
    except psutil.Error:
        return 0.0
