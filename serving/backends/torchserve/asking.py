"""Queries to TorchServe: a fresh, bounded request with a token, in which nothing of a client's own request is left."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson

from model.errors import GlocalError, NotFound, Overloaded, Unavailable
from model.files import Watched
from model.home import ServeFolder
from serving.backends.exchange import Exchange
from serving.backends.port import RESPONSE_S, Served
from serving.backends.torchserve.discovery import recorded
from serving.backends.torchserve.tokens import read_tokens
from serving.operations.envelope import pack, unpack_answers
from serving.operations.query import Query
from serving.protocol import bearer

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
        self._exchange = Exchange(RESPONSE_S + 5)

    async def ask(self, served: Served, queries: Sequence[Query]) -> list[dict[str, Any] | GlocalError]:
        """See `Asking.ask`."""
        status, content = await self._send("POST", f"/predictions/{served.name}/{served.version}", pack(queries))
        if status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"There is no version {served.version} of {served.name}.", "glocal serve status shows what serves.")
        if status == HTTPStatus.SERVICE_UNAVAILABLE and await self.ready(served):  # it says the same of a full queue
            raise Overloaded("As many queries wait as may.", _AGAIN)
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

    async def _send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and content of the answer to a request."""
        running, tokens = self._state.value(), self._tokens.value()
        if running is None or tokens is None:
            raise Unavailable("No server of models runs.", "Start it: glocal serve start.")
        is_query = method == "POST"
        headers = _KIND | bearer(tokens.inference) if is_query else bearer(tokens.management)
        address = running.address if is_query else running.management
        try:
            return await self._exchange.send(method, address, path, headers, body)
        except TimeoutError as error:
            raise Unavailable("No worker answered in time.", _AGAIN) from error
        except OSError as error:
            raise Unavailable("The server of models does not answer.", _AGAIN) from error
