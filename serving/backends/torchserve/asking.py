"""Queries to TorchServe: a fresh, bounded request with a token, in which nothing of a client's own request is left."""

from collections.abc import Sequence
from typing import Any

import httpx

from model.errors import GlocalError, NotFound, Unavailable
from model.files import Watched
from model.home import ServeFolder
from serving.backends.port import Served
from serving.backends.torchserve.configuration import Limits
from serving.backends.torchserve.discovery import recorded
from serving.backends.torchserve.tokens import bearer, read_tokens
from serving.operations.envelope import pack, unpack_answers
from serving.operations.query import Query

_KIND = {"Content-Type": "application/octet-stream"}
_AGAIN = "Try again in a second; glocal serve status tells more."


class TorchServe:
    """`serving.backends.port.Asking` over the TorchServe of a home.

    Args:
        folder: Folder of the endpoint's files. A server that was started anew is found by its state file.
    """

    def __init__(self, folder: ServeFolder) -> None:
        self._state = Watched(folder.state, lambda _: recorded(folder))
        self._tokens = Watched(folder.tokens, read_tokens)
        self._client = httpx.AsyncClient(timeout=Limits().response_s + 5, trust_env=False, verify=False)  # noqa: S501 # loopback

    async def ask(self, served: Served, queries: Sequence[Query]) -> list[dict[str, Any] | GlocalError]:
        """See `Asking.ask`."""
        answer = await self._send("POST", f"/predictions/{served.name}/{served.version}", pack(queries))
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"There is no version {served.version} of {served.name}.", "glocal serve status shows what serves.")
        if answer.status_code != httpx.codes.OK:
            raise Unavailable("No worker can answer now.", _AGAIN)
        try:
            return unpack_answers(answer.content, len(queries))
        except ValueError as error:
            raise Unavailable("A worker's answer cannot be read.", _AGAIN) from error

    async def ready(self, served: Served) -> bool:
        """See `Asking.ready`."""
        try:
            answer = await self._send("GET", f"/models/{served.name}/{served.version}")
            return any(worker["status"] == "READY" for model in answer.json() for worker in model["workers"])
        except (GlocalError, ValueError, KeyError, TypeError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        running, tokens = self._state.value(), self._tokens.value()
        if running is None or tokens is None:
            raise Unavailable("No server of models runs.", "Start it: glocal serve start.")
        is_query = method == "POST"
        headers = _KIND | bearer(tokens.inference) if is_query else bearer(tokens.management)
        address = running.address if is_query else running.management
        try:
            return await self._client.request(method, address + path, content=body, headers=headers)
        except httpx.TimeoutException as error:
            raise Unavailable("No worker answered in time.", _AGAIN) from error
        except httpx.HTTPError as error:
            raise Unavailable("The server of models does not answer.", _AGAIN) from error
