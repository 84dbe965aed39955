"""The endpoint of a home: the gateway, and the server of models behind it. Started, looked at and ended together."""

from model.claim import check_folders
from model.home import Home
from model.locks import hold
from model.schemas.status import ServerStatus
from serving.backends.torchserve import server as backend
from serving.backends.torchserve.discovery import Running
from serving.gateway import process as gateway
from serving.gateway.aborted import reason_of

_LOCK_WAIT_S = 180.0
_BUSY = "The gateway is being started or stopped by another process."


def ensure(home: Home) -> Running:
    """The running server of models, with the gateway before it; what does not run is started.

    Raises:
        Unavailable: One of them does not come up; the hint names its log.
        Conflict: Another process is starting or stopping them and does not finish.
    """
    running = backend.ensure(home.serve)
    with hold(home.serve.start_lock, wait_s=_LOCK_WAIT_S, busy=_BUSY):
        gateway.ensure(home.serve)
    return running


def answering(home: Home) -> Running | None:
    """The running server of models, if it and the gateway answer."""
    found = gateway.find(home.serve)
    return backend.answering(home.serve) if found is not None and gateway.answers(found) else None


def status(home: Home) -> ServerStatus:
    """The state of the endpoint, its address and the models that it serves.

    Raises:
        InvalidInput: The home, or the folder of the endpoint, is a file.
    """
    state = _with_aborted(home, backend.status(home))
    found = gateway.find(home.serve)
    if found is None or not gateway.answers(found):
        return state.model_copy(update={"state": "deaf", "healthy": False} if state.running else {})
    return state.model_copy(update={"address": found.address, "gateway_pid": found.pid})


def stop(home: Home) -> bool:
    """End gateway and server; the deployed models serve again after the next start. Returns whether one of them ran."""
    check_folders(home, home.serve.root)
    if not home.serve.root.exists():
        return False
    with hold(home.serve.start_lock, wait_s=_LOCK_WAIT_S, busy=_BUSY):
        ended = gateway.end(home.serve)
    return backend.stop(home) or ended


def _with_aborted(home: Home, state: ServerStatus) -> ServerStatus:
    """The state with the reasons of the challenges that the gateway has aborted."""
    found = {
        name: each.model_copy(update={"aborted": reason_of(home.serve.aborted, name, each.version, each.challenge)})
        for name, each in state.challengers.items()
    }
    return state.model_copy(update={"challengers": found})
