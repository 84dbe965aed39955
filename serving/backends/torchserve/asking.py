"""Queries to TorchServe: a fresh, bounded request with a token, in which nothing of a client's own request is left."""

import contextlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

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
_UNSENT = ("Accept-Encoding", "Accept", "User-Agent")
"""Headers that are left out. TorchServe compresses an answer to a client that names encodings, for 2 ms a query."""
_AGAIN = "Try again in a second; glocal serve status tells more."


class TorchServe:
    """`serving.backends.port.Asking` over the TorchServe of a home.

    Args:
        folder: Folder of the endpoint's files. A server that was started anew is found by its state file.
    """

    def __init__(self, folder: ServeFolder) -> None:
        self._state = Watched(folder.state, lambda _: recorded(folder))
        self._tokens = Watched(folder.tokens, read_tokens)
        self._timeout = aiohttp.ClientTimeout(total=Limits().response_s + 5)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, served: Served, queries: Sequence[Query]) -> list[dict[str, Any] | GlocalError]:
        """See `Asking.ask`."""
        status, content = await self._send("POST", f"/predictions/{served.name}/{served.version}", pack(queries))
        if status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"There is no version {served.version} of {served.name}.", "glocal serve status shows what serves.")
        if status != HTTPStatus.OK:
            raise Unavailable("No worker can answer now.", _AGAIN)
        try:
            return unpack_answers(content, len(queries))
        except ValueError as error:
            raise Unavailable("A worker's answer cannot be read.", _AGAIN) from error

    async def ready(self, served: Served) -> bool:
        """See `Asking.ready`."""
        try:
            _, content = await self._send("GET", f"/models/{served.name}/{served.version}")
            return any(worker["status"] == "READY" for model in orjson.loads(content) for worker in model["workers"])
        except (GlocalError, ValueError, KeyError, TypeError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and content of the answer to a request."""
        running, tokens = self._state.value(), self._tokens.value()
        if running is None or tokens is None:
            raise Unavailable("No server of models runs.", "Start it: glocal serve start.")
        is_query = method == "POST"
        headers = _KIND | bearer(tokens.inference) if is_query else bearer(tokens.management)
        address = running.address if is_query else running.management
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, skip_auto_headers=_UNSENT)  # within the loop
        try:
            return await self._exchange(self._session, method, address + path, body, headers)
        except TimeoutError as error:
            raise Unavailable("No worker answered in time.", _AGAIN) from error
        except aiohttp.ClientError as error:
            raise Unavailable("The server of models does not answer.", _AGAIN) from error

    @staticmethod
    async def _exchange(
        session: aiohttp.ClientSession, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Send a request, and once more if the connection, which was kept, turns out to be closed."""
        with contextlib.suppress(aiohttp.ServerDisconnectedError, ConnectionResetError):
            async with session.request(method, url, data=body, headers=headers) as answer:
                return answer.status, await answer.read()
        async with session.request(method, url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()
