"""The adapter: no server runs all the time; each loaded version has a process of its own, which ends with the endpoint."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx

from model.home import ServeFolder
from model.schemas.status import Difference
from serving.backends.litserve.asking import LitServe
from serving.backends.litserve.loading import LitServeLoading
from serving.backends.litserve.process import NAME, end, find, places
from serving.backends.port import Asking, Backend, Loading, State
from serving.processes import resident_mb


class LitServeBackend:
    """`serving.backends.port.Backend` over LitServe. The folder of the loaded versions says that the endpoint was started."""

    name = NAME
    is_elsewhere = False

    def wrapping(self, name: str, version: str) -> Mapping[str, bytes]:
        """See `Backend.wrapping`: nothing, as a worker loads the release alone."""
        return {}

    def ensure(self, folder: ServeFolder) -> None:
        """See `Backend.ensure`."""
        folder.loaded.mkdir(parents=True, exist_ok=True)

    def runs(self, folder: ServeFolder) -> bool:
        """See `Backend.runs`."""
        return folder.loaded.is_dir()

    def answers(self, folder: ServeFolder) -> bool:
        """See `Backend.answers`."""
        return self.runs(folder)

    def state(self, folder: ServeFolder) -> State | None:
        """See `Backend.state`."""
        if not self.runs(folder):
            return None
        alive = [running.pid for running in map(find, places(folder)) if running is not None]
        with self.loading(folder) as loading:
            return State(healthy=True, pid=None, memory_mb=resident_mb(alive), held=loading.held())

    def damages(self, folder: ServeFolder) -> Sequence[Difference]:
        """See `Backend.damages`. A version whose record is damaged is not loaded, and is brought back."""
        return ()

    def stop(self, folder: ServeFolder) -> bool:
        """See `Backend.stop`."""
        did_run = self.runs(folder)
        for place in places(folder):
            end(place)
        shutil.rmtree(folder.loaded, ignore_errors=True)
        return did_run

    @contextmanager
    def loading(self, folder: ServeFolder) -> Iterator[Loading]:
        """See `Backend.loading`."""
        with httpx.Client(timeout=5, trust_env=False) as http:  # loopback: no proxy stands between
            yield LitServeLoading(folder, http)

    def asking(self, folder: ServeFolder) -> Asking:
        """See `Backend.asking`."""
        return LitServe(folder)

    def replicas(self, folder: ServeFolder) -> Sequence[str]:
        """See `Backend.replicas`: there is one, behind the gateway of the home."""
        return ()


BACKEND: Backend = LitServeBackend()
