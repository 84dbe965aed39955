"""A client of TorchServe's management address, which registers, scales and removes versions of models."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from model.errors import Unavailable
from model.files import Watched
from model.schemas.status import ServedVersion, Worker
from serving.backends.exchange import SOCKET
from serving.backends.port import STARTUP_S, Stored
from serving.backends.torchserve.tokens import read_tokens
from serving.protocol import bearer

_PAGE = 100
"""Models that TorchServe lists at a time."""


class Management:
    """`serving.backends.port.Loading` of one server.

    Args:
        queries: Address for queries, a socket.
        management: Management address.
        tokens: File of the server's tokens.
        log: Folder of the server's logs, for the hints.
        timeout_s: Seconds to wait for an answer.
    """

    def __init__(self, queries: str, management: str, *, tokens: Path, log: str, timeout_s: float = 30) -> None:
        self._management = management
        self._tokens = Watched(tokens, read_tokens)
        self._log = log
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)  # loopback: no proxy stands between
        self._queries = httpx.Client(transport=httpx.HTTPTransport(uds=queries.removeprefix(SOCKET)), base_url="http://localhost")

    def __enter__(self) -> "Management":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        self._queries.close()

    def healthy(self) -> bool:
        """Whether both addresses answer, with a worker or without."""
        with contextlib.suppress(httpx.HTTPError):
            tokens = self._tokens.value()
            if tokens is None:
                return False
            pinged = self._queries.get("/ping", headers=bearer(tokens.inference), timeout=5)
            listed = self._client.get(f"{self._management}/models", headers=bearer(tokens.management), timeout=5)
            return "status" in pinged.text and "models" in listed.text
        return False

    def held(self) -> Mapping[str, Sequence[ServedVersion]]:
        """See `Loading.held`."""
        return {name: self._versions(name) for name in self._names()}

    def begin(self, stored: Stored) -> None:
        """See `Loading.begin`."""
        self._register(stored)
        self._scale(stored)

    def load(self, stored: Stored) -> None:
        """See `Loading.load`."""
        is_registered = any(each.version == stored.version for each in self._versions(stored.name))
        if not is_registered:
            self._register(stored)
        self._scale(stored)
        self._await_workers(stored, retries=int(is_registered))

    def unload(self, name: str, version: str) -> None:
        """See `Loading.unload`. TorchServe does not remove its own default, which nobody asks, before another version is that."""
        others = [each.version for each in self._versions(name) if each.version != version]
        if others:
            self._ask("PUT", f"/models/{name}/{others[0]}/set-default")
        answer = self._send("DELETE", f"/models/{name}/{version}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._checked(answer)

    def waiting(self, name: str, version: str) -> int:
        """See `Loading.waiting`."""
        return sum(served.waiting for served in self._versions(name) if served.version == version)

    def _names(self) -> list[str]:
        """The names of all registered models, which come a page at a time."""
        names: list[str] = []
        page: str | None = "0"
        while page is not None:
            listed = self._ask("GET", "/models", params={"limit": _PAGE, "next_page_token": page})
            names += (str(model["modelName"]) for model in listed["models"])
            page = listed.get("nextPageToken")
        return names

    def _versions(self, name: str) -> list[ServedVersion]:
        answer = self._send("GET", f"/models/{name}/all")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [_version(model) for model in self._checked(answer)]

    def _register(self, stored: Stored) -> None:
        """Register an archive of the store, without workers."""
        wanted = {"url": stored.archive.name, "model_name": stored.name, "initial_workers": 0, "synchronous": "true"}
        self._ask("POST", "/models", params=wanted)

    def _scale(self, stored: Stored) -> None:
        """Let a registered version have as many workers as it is to have, sooner or later."""
        wanted = {"min_worker": stored.workers, "max_worker": stored.workers, "synchronous": "false"}
        self._ask("PUT", f"/models/{stored.name}/{stored.version}", params=wanted)

    def _await_workers(self, stored: Stored, retries: int) -> None:
        """Wait until all workers are ready.

        Args:
            stored: The version.
            retries: Number of workers that may die before the release counts as one that cannot be loaded.
        """
        deadline = time.monotonic() + STARTUP_S
        tried: set[int] = set()
        while True:
            served = [each for each in self._versions(stored.name) if each.version == stored.version]
            if sum(each.ready for each in served) >= stored.workers:
                return
            tried |= {worker.pid for each in served for worker in each.workers if worker.pid > 0}
            if time.monotonic() > deadline or len(tried) > stored.workers + retries:
                failed = f"No worker of {stored.name} {stored.version} became ready."
                raise Unavailable(failed, f"See {self._log}/model_log.log.")
            time.sleep(0.1)

    def _ask(self, method: str, path: str, params: dict[str, Any] | None = None) -> Any:
        return self._checked(self._send(method, path, params))

    def _send(self, method: str, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        try:
            tokens = self._tokens.value()
            headers = bearer(tokens.management) if tokens else {}
            return self._client.request(method, self._management + path, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("TorchServe does not answer.", f"See {self._log}/ts_log.log.") from error

    def _checked(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()
        with contextlib.suppress(ValueError, KeyError, TypeError):
            raise Unavailable(f"TorchServe refused: {answer.json()['message']}", f"See {self._log}/ts_log.log.")
        raise Unavailable(f"TorchServe answered {answer.status_code}.", f"See {self._log}/ts_log.log.")


def _version(model: dict[str, Any]) -> ServedVersion:
    workers = tuple(Worker(id=str(row["id"]), pid=int(row["pid"]), status=row["status"]) for row in model["workers"])
    waiting = (model.get("jobQueueStatus") or {}).get("pendingRequests", 0)
    return ServedVersion(version=str(model["modelVersion"]), workers=workers, waiting=int(waiting))
