"""How the gateway speaks HTTP: uvicorn, with limits of time and number for slow and for many clients."""

import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 20.0
"""Seconds after which a connection without a whole request head is closed."""
CONNECTIONS = 256
"""Maximum connections; further ones get a 503."""
GRACE_S = 30
"""Seconds that requests under way get when the gateway ends."""


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 of uvicorn, which itself waits for a request head for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it: asyncio's takes any kind
        """Give a new connection its time."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def make_config(app: FastAPI, **settings: Any) -> uvicorn.Config:
    """The configuration of uvicorn for the gateway's application."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
        **settings,
    )
