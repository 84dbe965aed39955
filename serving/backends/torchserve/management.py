"""A client of TorchServe's management address, which registers, scales and removes versions of models."""

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from model.errors import Unavailable
from model.files import Watched
from model.schemas.status import ServedVersion, Worker
from serving.backends.torchserve.tokens import bearer, read_tokens


class Management:
    """A client of one server.

    Args:
        inference: Address for queries.
        management: Management address.
        tokens: File of the server's tokens.
        log: Folder of the server's logs, for the hints.
        timeout_s: Seconds to wait for an answer.
    """

    def __init__(self, inference: str, management: str, *, tokens: Path, log: str, timeout_s: float = 30) -> None:
        self._inference = inference
        self._management = management
        self._tokens = Watched(tokens, read_tokens)
        self._log = log
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)  # loopback: no proxy stands between

    def __enter__(self) -> "Management":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def healthy(self) -> bool:
        """Whether both addresses answer, with a worker or without."""
        with contextlib.suppress(httpx.HTTPError):
            tokens = self._tokens.value()
            if tokens is None:
                return False
            pinged = self._client.get(f"{self._inference}/ping", headers=bearer(tokens.inference), timeout=5)
            listed = self._client.get(f"{self._management}/models", headers=bearer(tokens.management), timeout=5)
            return "status" in pinged.text and "models" in listed.text
        return False

    def names(self) -> list[str]:
        """The names of the registered models."""
        listed = self._ask("GET", "/models", params={"limit": 100})
        return [str(model["modelName"]) for model in listed["models"]]

    def versions(self, name: str) -> list[ServedVersion]:
        """Every registered version of a model."""
        answer = self._send("GET", f"/models/{name}/all")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [_version(model) for model in self._checked(answer)]

    def default(self, name: str) -> str | None:
        """The version that answers queries which name none."""
        answer = self._send("GET", f"/models/{name}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return str(self._checked(answer)[0]["modelVersion"])

    def waiting(self, name: str, version: str) -> int:
        """Number of requests that wait for a worker of that version."""
        return sum(served.waiting for served in self.versions(name) if served.version == version)

    def register(self, archive: str, name: str) -> None:
        """Register an archive of the store, without workers. The first version of a name becomes its default."""
        self._ask("POST", "/models", params={"url": archive, "model_name": name, "initial_workers": 0, "synchronous": "true"})

    def scale(self, name: str, version: str, workers: int, *, deadline_s: float, retries: int = 1) -> None:
        """Ask for workers and wait until all of them are ready.

        Args:
            name: Name of the model.
            version: Version of the model.
            workers: Number of workers.
            deadline_s: Seconds to wait until all workers are ready.
            retries: Number of workers that may die before the release counts as one that cannot be loaded.

        Raises:
            Unavailable: The workers were not ready in time, or one of them could not load the release.
        """
        wanted = {"min_worker": workers, "max_worker": workers, "synchronous": "false"}
        self._ask("PUT", f"/models/{name}/{version}", params=wanted)
        deadline = time.monotonic() + deadline_s
        tried: set[int] = set()
        while True:
            served = [entry for entry in self.versions(name) if entry.version == version]
            if sum(entry.ready for entry in served) >= workers:
                return
            tried |= {worker.pid for entry in served for worker in entry.workers if worker.pid > 0}
            if time.monotonic() > deadline or len(tried) > workers + retries:
                raise Unavailable(f"No worker of {name} {version} became ready.", f"See {self._log}/model_log.log.")
            time.sleep(0.1)

    def set_default(self, name: str, version: str) -> None:
        """Send the queries that name no version to this one."""
        self._ask("PUT", f"/models/{name}/{version}/set-default")

    def unregister(self, name: str, version: str) -> None:
        """End a version's workers and remove it; nothing happens if it is not registered."""
        answer = self._send("DELETE", f"/models/{name}/{version}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._checked(answer)

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
