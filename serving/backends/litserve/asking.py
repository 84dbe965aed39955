"""Queries to the process of a version: a fresh request with a token, in which nothing of a client's own request is left."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson

from model.errors import GlocalError
from model.files import Watched
from model.home import ServeFolder
from serving.backends.blocks import no_version, queue_full, send, unpacked
from serving.backends.exchange import Exchange
from serving.backends.litserve.door import PREDICT, STATE
from serving.backends.litserve.process import Place, Running, recorded
from serving.backends.port import RESPONSE_S, Served
from serving.operations.envelope import pack
from serving.operations.query import Query


class LitServe:
    """`serving.backends.port.Asking` over the processes of a home.

    Args:
        folder: Folder of the endpoint's files. A process that was started anew is found by its state file.
    """

    def __init__(self, folder: ServeFolder) -> None:
        self._folder = folder
        self._known: dict[Place, Watched[Running | None]] = {}
        self._exchange = Exchange(RESPONSE_S + 5)

    async def ask(self, served: Served, queries: Sequence[Query]) -> list[dict[str, Any] | GlocalError]:
        """See `Asking.ask`."""
        status, content = await self._send(served, "POST", PREDICT, pack(queries))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise queue_full()
        return unpacked(status, content, len(queries))

    async def ready(self, served: Served) -> bool:
        """See `Asking.ready`."""
        try:
            _, content = await self._send(served, "GET", STATE)
            return bool(orjson.loads(content)["ready"])
        except (GlocalError, ValueError, KeyError, TypeError):
            return False

    async def _send(self, served: Served, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and content of the answer to a request."""
        running = self._running(Place.of(self._folder, served.name, served.version))
        if running is None:
            raise no_version(served)
        return await send(self._exchange, method, running.address, path, token=running.token, body=body)

    def _running(self, place: Place) -> Running | None:
        """The process on record. Only versions that are loaded are kept in mind: a client may name any."""
        watched = self._known.get(place) or Watched(place.state, lambda _: recorded(place))
        running = watched.value()
        if running is None:
            self._known.pop(place, None)
        else:
            self._known[place] = watched
        return running
