"""The adapter: TorchServe on loopback, its start, its state and its end.

Everything lies below one home: `serve/state.json` says which process and which ports, `serve/store` holds the archives,
`logs/torchserve` the logs.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from model.errors import GlocalError, Unavailable
from model.home import ServeFolder
from model.schemas.status import Difference, ServedVersion
from serving.backends.port import Asking, Backend, Loading, State
from serving.backends.torchserve.asking import TorchServe
from serving.backends.torchserve.configuration import NAME, logs
from serving.backends.torchserve.discovery import Running, find, is_damaged
from serving.backends.torchserve.management import Management
from serving.backends.torchserve.process import end, launch, remember
from serving.backends.torchserve.wrapping import wrapping
from serving.processes import resident_mb, wait_until

_ATTEMPTS = 3
_START_S = 90.0
"""Seconds to wait until a started server answers."""
_PATIENCE_S = 20.0
"""Seconds to wait for a silent server before replacing it."""


class TorchServeBackend:
    """`serving.backends.port.Backend` over TorchServe: one server loads and unloads all versions."""

    name = NAME
    is_elsewhere = False

    def wrapping(self, name: str, version: str) -> Mapping[str, bytes]:
        """See `Backend.wrapping`: the handler, and the archiver's manifest."""
        return wrapping(name, version)

    def ensure(self, folder: ServeFolder) -> None:
        """See `Backend.ensure`. A server of this home that is not on record is put on record."""
        running = find(folder)
        if running is not None and _answers(running, folder, _PATIENCE_S):
            remember(folder, running)
        else:
            _start_afresh(folder)

    def runs(self, folder: ServeFolder) -> bool:
        """See `Backend.runs`."""
        return find(folder) is not None

    def answers(self, folder: ServeFolder) -> bool:
        """See `Backend.answers`."""
        running = find(folder)
        return running is not None and _answers(running, folder, 0)

    def state(self, folder: ServeFolder) -> State | None:
        """See `Backend.state`."""
        running = find(folder)
        if running is None:
            return None
        healthy, held = _held(running, folder)
        return State(healthy, running.pid, resident_mb([running.pid]), held)

    def damages(self, folder: ServeFolder) -> Sequence[Difference]:
        """See `Backend.damages`."""
        if not is_damaged(folder):
            return ()
        remedy = "The server is looked for by its configuration; glocal serve start writes the file again."
        return (Difference(model="", found=f"{folder.state} is damaged.", done=remedy),)

    def stop(self, folder: ServeFolder) -> bool:
        """See `Backend.stop`."""
        return (folder.state.exists() or folder.config.exists()) and end(folder)

    @contextmanager
    def loading(self, folder: ServeFolder) -> Iterator[Loading]:
        """See `Backend.loading`."""
        running = find(folder)
        if running is None:
            raise Unavailable("TorchServe does not run.", "Start it: glocal serve start.")
        with _management(running, folder) as server:
            yield server

    def asking(self, folder: ServeFolder) -> Asking:
        """See `Backend.asking`."""
        return TorchServe(folder)

    def replicas(self, folder: ServeFolder) -> Sequence[str]:
        """See `Backend.replicas`: there is one, behind the gateway of the home."""
        return ()


BACKEND: Backend = TorchServeBackend()


def _management(running: Running, folder: ServeFolder) -> Management:
    return Management(running.address, running.management, tokens=folder.tokens, log=str(logs(folder)))


def _held(running: Running, folder: ServeFolder) -> tuple[bool, Mapping[str, Sequence[ServedVersion]]]:
    try:
        with _management(running, folder) as server:
            return (True, server.held()) if server.healthy() else (False, {})
    except GlocalError:
        return False, {}


def _start_afresh(folder: ServeFolder) -> None:
    for _ in range(_ATTEMPTS):  # a free port may be taken before Java binds it
        end(folder)
        running = launch(folder)
        if _answers(running, folder, _START_S):
            return
        if find(folder) is not None:
            break
    end(folder)
    raise Unavailable("TorchServe did not start.", f"See {logs(folder)}/console.log.")


def _answers(running: Running, folder: ServeFolder, deadline_s: float) -> bool:
    with _management(running, folder) as server:
        healthy = wait_until(lambda: server.healthy() or find(folder) is None, deadline_s=deadline_s)
        return healthy and find(folder) is not None
