"""Versions are loaded and unloaded by starting and ending their processes."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from model.errors import Unavailable
from model.home import ServeFolder
from model.schemas.status import ServedVersion, Worker
from serving.backends.litserve.door import STATE
from serving.backends.litserve.process import Place, Running, end, find, is_alive, is_starting, launch, places
from serving.backends.port import STARTUP_S, Stored
from serving.processes import wait_until
from serving.protocol import bearer

_ATTEMPTS = 3


class LitServeLoading:
    """`serving.backends.port.Loading` over the processes of a home.

    Args:
        folder: Folder of the endpoint's files.
        http: A client for loopback.
    """

    def __init__(self, folder: ServeFolder, http: httpx.Client) -> None:
        self._folder, self._http = folder, http

    def held(self) -> Mapping[str, Sequence[ServedVersion]]:
        """See `Loading.held`."""
        found: dict[str, list[ServedVersion]] = {}
        for place in places(self._folder):
            running = find(place)
            if running is not None:
                found.setdefault(place.name, []).append(self._version(place, running))
        return found

    def begin(self, stored: Stored) -> None:
        """See `Loading.begin`."""
        launch(self._folder, stored)

    def load(self, stored: Stored) -> None:
        """See `Loading.load`."""
        place = Place.of(self._folder, stored.name, stored.version)
        for _ in range(_ATTEMPTS):  # its process may be ended from outside before it is ready
            running = find(place)
            if running.workers != stored.workers if running else not is_starting(place):
                end(place)
                launch(self._folder, stored)
            if self._await_workers(place, stored.workers):
                return
            if is_alive(place) or place.noted("failed"):
                break
        raise Unavailable(f"No worker of {stored.name} {stored.version} became ready.", f"See {place.log(self._folder)}.")

    def unload(self, name: str, version: str) -> None:
        """See `Loading.unload`."""
        end(Place.of(self._folder, name, version))

    def waiting(self, name: str, version: str) -> int:
        """See `Loading.waiting`."""
        running = find(Place.of(self._folder, name, version))
        return int(self._state(running)["waiting"]) if running else 0

    def _await_workers(self, place: Place, workers: int) -> bool:
        """Wait until all workers are ready, one of them fails, or the process ends; returns whether they are ready."""
        failed = place.noted("failed")

        def is_settled() -> bool:
            return not is_alive(place) or place.noted("failed") != failed or self._ready(place) >= workers

        return wait_until(is_settled, deadline_s=STARTUP_S, pause_s=0.25) and self._ready(place) >= workers

    def _ready(self, place: Place) -> int:
        running = find(place)
        return len(self._state(running)["ready"]) if running else 0

    def _version(self, place: Place, running: Running) -> ServedVersion:
        state = self._state(running)
        workers = tuple(Worker(id=str(pid), pid=pid, status="READY") for pid in state["ready"])
        return ServedVersion(version=place.version, workers=workers, waiting=state["waiting"])

    def _state(self, running: Running) -> dict[str, Any]:
        try:
            answer = self._http.get(running.address + STATE, headers=bearer(running.token))
            state: dict[str, Any] = answer.raise_for_status().json()
        except httpx.HTTPError:  # it loads, or is about to end
            return {"ready": [], "waiting": 0}
        return state
