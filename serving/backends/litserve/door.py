"""What stands before LitServe in its process: the token, the bound of the queue, and the state that we ask for."""

import hmac
import multiprocessing
from pathlib import Path

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.backends.litserve.process import Place
from serving.backends.port import QUEUE
from serving.protocol import bearer

PREDICT, STATE = "/predict", "/state"
"""Addresses for blocks of queries, and for the workers that are ready and the number of blocks that wait."""


class Door:
    """An ASGI middleware that lets nothing through without the token.

    Args:
        app: LitServe's application.
        root: Folder of the loaded version.
        token: What a request must show.
        workers: Number of workers.
    """

    def __init__(self, app: ASGIApp, *, root: Path, token: str, workers: int) -> None:
        self._app, self._place, self._workers = app, Place(root), workers
        self._expected = bearer(token)["Authorization"].encode()
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            await (self._refusal(scope) or self._answering)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        shown = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(shown, self._expected):
            return Response(status_code=401)
        if scope["path"] == STATE:
            return JSONResponse({"ready": self._ready(), "waiting": max(0, self._active - self._workers)})
        if scope["path"] != PREDICT:
            return Response(status_code=404)
        return Response(status_code=429) if self._active >= self._workers + QUEUE else None

    async def _answering(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._active += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._active -= 1

    def _ready(self) -> list[int]:
        """Ids of the workers that have loaded the release and live."""
        alive = {child.pid for child in multiprocessing.active_children() if child.pid}
        return sorted(alive & self._place.noted("worker"))
