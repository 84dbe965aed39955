"""The endpoint of a home: the gateway, and the server of models behind it. Started, looked at and ended together."""

from collections.abc import Mapping, Sequence

from model.claim import check_folders
from model.environment import Environment
from model.home import Home, ServeFolder
from model.locks import hold
from model.schemas.challenge import ServedChallenger
from model.schemas.status import Difference, ServedModel, ServedVersion, ServerStatus
from serving import backends
from serving.backends.port import Backend
from serving.gateway import process as gateway
from serving.gateway.aborted import reason_of
from serving.rollout.challengers import read_challengers
from serving.rollout.deployed import damage, readable_deployed
from serving.rollout.leftovers import stored_models

_LOCK_WAIT_S = 180.0
_BUSY = "The endpoint is being started or stopped by another process."


def ensure(home: Home, wanted: Backend | None = None) -> Backend:
    """The server of models, with the gateway before it; what does not run is started.

    Args:
        home: GLOCAL_HOME.
        wanted: The adapter whose server is to run; another one's is ended first. Default: the one that runs, else the one that
            the setting names.

    Raises:
        Unavailable: One of them does not come up; the hint names its log.
        Conflict: Another process is starting or stopping them and does not finish.
    """
    with hold(home.serve.start_lock, wait_s=_LOCK_WAIT_S, busy=_BUSY):
        running = backends.running(home.serve)
        backend = wanted or running or backends.chosen()
        if running is not None and running is not backend:
            gateway.end(home.serve)
            running.stop(home.serve)
        backend.ensure(home.serve)
        if not backend.is_elsewhere:
            gateway.ensure(home.serve, backend.name)
    return backend


def answering(home: Home) -> Backend | None:
    """The adapter whose server runs, if it and the gateway answer."""
    backend = backends.running(home.serve)
    if backend is None or not (backend.is_elsewhere or _has_gateway(home.serve)):
        return None
    return backend if backend.answers(home.serve) else None


def _has_gateway(folder: ServeFolder) -> bool:
    """Whether the home's own gateway answers."""
    found = gateway.find(folder)
    return found is not None and gateway.answers(found)


def status(home: Home) -> ServerStatus:
    """The state of the endpoint, its address and the models that it serves.

    Raises:
        InvalidInput: The home, or the folder of the endpoint, is a file.
    """
    check_folders(home, home.serve.root)
    backend = backends.running(home.serve) or backends.chosen()
    found = _with_server(_without_server(home, backend), home.serve, backend)
    if backend.is_elsewhere:
        return found.model_copy(update={"address": Environment().endpoint_elsewhere})
    listening = gateway.find(home.serve)
    if listening is None or not gateway.answers(listening):
        return found.model_copy(update={"state": "deaf", "healthy": False} if found.running else {})
    return found.model_copy(update={"address": listening.address, "gateway_pid": listening.pid})


def stop(home: Home) -> bool:
    """End gateway and server; the deployed models serve again after the next start. Returns whether one of them ran."""
    check_folders(home, home.serve.root)
    if not home.serve.root.exists():
        return False
    with hold(home.serve.start_lock, wait_s=_LOCK_WAIT_S, busy=_BUSY):
        ended = [gateway.end(home.serve), *(backends.named(each).stop(home.serve) for each in backends.ADAPTERS)]
    return any(ended)


def _without_server(home: Home, backend: Backend) -> ServerStatus:
    """The state of an endpoint whose server of models does not run."""
    return ServerStatus(
        running=False,
        state="stopped",
        backend=backend.name,
        log=str(home.serve.backend_logs(backend.name)),
        home=str(home.root),
        stored=tuple(sorted(stored_models(home.serve))),
        differences=_damages(home.serve, backend),
    )


def _with_server(known: ServerStatus, folder: ServeFolder, backend: Backend) -> ServerStatus:
    """The state with what the server of models says, if it runs."""
    server = backend.state(folder)
    if server is None:
        return known
    models = _models(folder, server.held)
    missing = _missing(folder, models)
    serves = any(model.ready for model in models.values())
    found = {
        "running": True,
        "state": "deaf" if not server.healthy else "empty" if not serves else "partial" if missing else "serving",
        "healthy": server.healthy,
        "pid": server.pid,
        "memory_mb": server.memory_mb,
        "models": models,
        "missing": missing,
        "challengers": _challengers(folder, models),
    }
    return known.model_copy(update=found)


def _models(folder: ServeFolder, held: Mapping[str, Sequence[ServedVersion]]) -> dict[str, ServedModel]:
    """What is loaded, and which version of it serves: that on record; without a record, the only one that is loaded."""
    recorded = readable_deployed(folder.deployed)
    found = {}
    for name, versions in held.items():
        serving = recorded[name].version if name in recorded else versions[0].version if len(versions) == 1 else None
        found[name] = ServedModel(default=serving, versions=tuple(versions))
    return found


def _missing(folder: ServeFolder, models: Mapping[str, ServedModel]) -> tuple[str, ...]:
    recorded = readable_deployed(folder.deployed)
    return tuple(name for name in recorded if name not in models or not models[name].ready)


def _challengers(folder: ServeFolder, models: Mapping[str, ServedModel]) -> dict[str, ServedChallenger]:
    """The challengers on record, with the reasons of the challenges that the gateway has aborted."""
    found = {}
    for name, entry in read_challengers(folder.challengers).items():
        versions = models[name].versions if name in models else ()
        found[name] = ServedChallenger(
            version=entry.version,
            challenge=entry.challenge,
            ready=any(each.version == entry.version and each.ready for each in versions),
            aborted=reason_of(folder.aborted, name, entry.version, entry.challenge),
        )
    return found


def _damages(folder: ServeFolder, backend: Backend) -> tuple[Difference, ...]:
    """The damaged files of the endpoint."""
    error = damage(folder.deployed)
    deployed = [Difference(model="", found=error.headline, done=error.hint)] if error else []
    return (*backend.damages(folder), *deployed)
