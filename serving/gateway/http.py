"""How the gateway speaks HTTP: uvicorn, with limits of time and number for slow and for many clients."""

import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from model.errors import Overloaded
from serving.gateway.problems import problem_response

HEAD_S = 20.0
"""Seconds after which a connection without a whole request head is closed."""
MAX_HEAD = 64 * 2**10
"""Maximum bytes of a request head, and of what stands round the parts of a body, such as trailers."""
CONNECTIONS = 256
"""Maximum connections; requests on further ones are refused."""
GRACE_S = 30
"""Seconds that requests under way get when the gateway ends."""
SEND_S = 60.0
"""Seconds in which a client must read what it is answered; what it has not read by then is dropped with its connection."""


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 of uvicorn, which itself waits for ever for a head and for a client to read, and keeps a head of any size."""

    _timer: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _unread = 0
    """Bytes since the last head or part of a body was complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it: asyncio's takes any kind
        """Give a new connection its time."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        if self._reading is not None:
            self._reading.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give a client that reads more slowly than it is answered its time."""
        super().pause_writing()
        self._wait_for_reader()

    def on_response_complete(self) -> None:
        """Give the client its time to read what was answered, also where it is less than pauses the writing."""
        super().on_response_complete()
        self._wait_for_reader()

    def data_received(self, data: bytes) -> None:
        """Parse what came. Between two requests it begins the next one, which gets its time as well."""
        self._unread += len(data)
        if self._timer is None and not self._is_answering():
            self._wait_for_head()
        super().data_received(data)
        if self._unread > MAX_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._unread = 0
        self._stop_waiting()
        self.app = _too_many if len(self.connections) > CONNECTIONS else self.config.loaded_app
        super().on_headers_complete()
        if self.cycle.scope["method"] != "HEAD":
            self.cycle.transport = _Answer(self.cycle)  # type: ignore[assignment] # what uvicorn uses of a transport

    def on_body(self, body: bytes) -> None:
        """A part of a body, whose size the application limits."""
        self._unread = 0
        super().on_body(body)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self._close_if_silent)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self.loop.call_later(SEND_S, self._abort_if_unread)

    def _abort_if_unread(self) -> None:
        self._reading = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _close_if_silent(self) -> None:
        self._timer = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()

    def _refuse(self) -> None:
        if self._is_answering():
            self.transport.abort()
        else:
            self.send_400_response("The head of the request is too large.")


class _Answer:
    """What an answer is written to: its head and the first part of its body go together, since each packet wakes the client.

    Args:
        cycle: The request, and how far its answer is.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle, self._transport = cycle, cycle.transport
        self._head: bytes | None = None
        self.close, self.is_closing = cycle.transport.close, cycle.transport.is_closing

    def write(self, data: bytes) -> None:
        """Write a part. What comes before the head, as `100 Continue`, does not wait."""
        if self._cycle.response_started and self._head is None:
            self._head = data
        else:
            self._transport.write((self._head or b"") + data)
            self._head = b"" if self._cycle.response_started else None


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    error = Overloaded("As many connections are open as may.", "Try again in a second, or ask over connections that are kept.")
    await problem_response(error, "")(scope, receive, send)


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
        timeout_graceful_shutdown=GRACE_S,
        **settings,
    )
