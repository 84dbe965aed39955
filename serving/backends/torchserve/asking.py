"""Queries to TorchServe: a fresh, bounded request with a token, in which nothing of a client's own request is left."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson

from model.errors import GlocalError, Unavailable
from model.files import Watched
from model.home import ServeFolder
from serving.backends.blocks import no_version, queue_full, send, unpacked
from serving.backends.exchange import Exchange
from serving.backends.port import RESPONSE_S, Served
from serving.backends.torchserve.discovery import recorded
from serving.backends.torchserve.tokens import read_tokens
from serving.operations.envelope import pack
from serving.operations.query import Query


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
            raise no_version(served)
        if status == HTTPStatus.SERVICE_UNAVAILABLE and await self.ready(served):  # it says the same of a full queue
            raise queue_full()
        return unpacked(status, content, len(queries))

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
        address = running.address if is_query else running.management
        token = tokens.inference if is_query else tokens.management
        return await send(self._exchange, method, address, path, token=token, body=body)
