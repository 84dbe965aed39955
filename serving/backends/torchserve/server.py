"""TorchServe on loopback: its start, its status and its end.

Everything lies below one home: `serve/state.json` says which process and which ports, `serve/deployed.json` which model
version, `serve/store` holds the archives, `logs/torchserve` the logs.
"""

import psutil

from model.claim import check_folders
from model.errors import GlocalError, Unavailable
from model.home import Home, ServeFolder
from model.locks import hold
from model.schemas.challenge import ServedChallenger
from model.schemas.status import Difference, ServedModel, ServerStatus
from serving.backends.torchserve.challengers import read_challengers
from serving.backends.torchserve.configuration import Limits, Ports
from serving.backends.torchserve.deployed import damage, read_deployed
from serving.backends.torchserve.discovery import Running, find, is_damaged
from serving.backends.torchserve.endpoint import connect
from serving.backends.torchserve.leftovers import stored_models
from serving.backends.torchserve.process import end, launch, remember
from serving.processes import wait_until

_ATTEMPTS = 3
_LOCK_WAIT_S = 180.0
_PATIENCE_S = 20.0
"""Seconds to wait for a silent server before replacing it."""


def ensure(folder: ServeFolder, *, ports: Ports | None = None, limits: Limits = Limits(), deadline_s: float = 90) -> Running:  # noqa: B008 # frozen
    """The running server, which is started if none runs. A server of this home that is not on record is put on record.

    Args:
        folder: Folder of the endpoint's files.
        ports: Ports to use; a port that is taken is replaced by a free one. Default: the last ports, else free ones.
        limits: Limits of the server's memory, threads and times.
        deadline_s: Seconds to wait until the server answers.

    Raises:
        Unavailable: The server does not come up; the hint names its log.
        Conflict: Another process is starting or stopping the server and does not finish.
    """
    busy = "TorchServe is being started or stopped by another process."
    with hold(folder.start_lock, wait_s=_LOCK_WAIT_S, busy=busy):
        running = find(folder)
        if running is not None and _answers(running, folder, _PATIENCE_S):
            remember(folder, running)
            return running
        return _start_afresh(folder, ports, limits, deadline_s)


def answering(folder: ServeFolder) -> Running | None:
    """The running server if it answers."""
    running = find(folder)
    return running if running is not None and _answers(running, folder, 0) else None


def status(home: Home) -> ServerStatus:
    """The state of TorchServe, its address and the models that it serves.

    Raises:
        InvalidInput: The home, or the folder of the endpoint, is a file.
    """
    check_folders(home, home.serve.root)
    folder = home.serve
    notes = _damages(folder)
    running = find(folder)
    if running is None:
        log, stored = str(folder.logs), tuple(sorted(stored_models(folder)))
        return ServerStatus(running=False, state="stopped", log=log, home=str(home.root), stored=stored, differences=notes)
    healthy, models = _served(folder, running)
    missing = _missing(folder, models)
    serves = any(model.ready for model in models.values())
    return ServerStatus(
        running=True,
        state="deaf" if not healthy else "empty" if not serves else "partial" if missing else "serving",
        healthy=healthy,
        pid=running.pid,
        management=running.management,
        memory_mb=_memory_mb(running.pid),
        models=models,
        missing=missing,
        challengers=_challengers(folder, models),
        stored=tuple(sorted(stored_models(folder))),
        log=str(folder.logs),
        home=str(home.root),
        differences=notes,
    )


def stop(home: Home) -> bool:
    """End TorchServe and its workers; the deployed models serve again after the next start. Returns whether it ran."""
    check_folders(home, home.serve.root)
    folder = home.serve
    if not folder.state.exists() and not folder.config.exists():
        return False
    with hold(folder.start_lock, wait_s=_LOCK_WAIT_S, busy="TorchServe is being started by another process."):
        return end(folder)


def _served(folder: ServeFolder, running: Running) -> tuple[bool, dict[str, ServedModel]]:
    try:
        with connect(folder, running) as endpoint:
            server = endpoint.server
            if not server.healthy():
                return False, {}
            models = {
                name: ServedModel(default=server.default(name), versions=tuple(server.versions(name))) for name in server.names()
            }
            return True, models
    except GlocalError:
        return False, {}


def _missing(folder: ServeFolder, models: dict[str, ServedModel]) -> tuple[str, ...]:
    recorded = {} if damage(folder.deployed) else read_deployed(folder.deployed)
    return tuple(name for name in recorded if name not in models or not models[name].ready)


def _challengers(folder: ServeFolder, models: dict[str, ServedModel]) -> dict[str, ServedChallenger]:
    found = {}
    for name, entry in read_challengers(folder.challengers).items():
        versions = models[name].versions if name in models else ()
        ready = any(each.version == entry.version and each.ready for each in versions)
        found[name] = ServedChallenger(version=entry.version, challenge=entry.challenge, ready=ready)
    return found


def _damages(folder: ServeFolder) -> tuple[Difference, ...]:
    """The damaged files of the server."""
    damages = []
    if is_damaged(folder):
        remedy = "The server is looked for by its configuration; glocal serve start writes the file again."
        damages.append(Difference(model="", found=f"{folder.state} is damaged.", done=remedy))
    if error := damage(folder.deployed):
        damages.append(Difference(model="", found=error.headline, done=error.hint))
    return tuple(damages)


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
    with connect(folder, running) as endpoint:
        healthy = wait_until(lambda: endpoint.server.healthy() or find(folder) is None, deadline_s=deadline_s)
        return healthy and find(folder) is not None


def _memory_mb(pid: int) -> float:
    try:
        server = psutil.Process(pid)
        resident: float = sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])
        return round(resident / 2**20, 1)
    except psutil.Error:
        return 0.0
