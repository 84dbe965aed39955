"""Requests to a server of models on this machine, over connections that are kept.

It sends what is given and nothing else: no header of a general client, and none of whoever asked the gateway. A general client
(aiohttp) took 0.4 ms more of each query (docs/decisions/0012-gateway.md).
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools

SOCKET = "unix:"
"""Beginning of the address of a socket that is a file; its path follows."""
MAX_ANSWER = 64 * 2**20
"""Maximum bytes of the answers to one block of queries."""


class BadAnswer(ConnectionError):
    """What came is no answer, or is larger than `MAX_ANSWER`."""


class Exchange:
    """Connections to servers, by address. Several tasks may use it at a time.

    Args:
        timeout_s: Seconds for a request and its whole answer.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._idle: dict[str, list[_Connection]] = {}

    async def send(
        self, method: str, address: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and content of the answer to a request.

        A request is sent once more if the connection, which was kept, turns out to have been closed meanwhile.

        Args:
            method: GET or POST.
            address: Such as http://127.0.0.1:8080 or unix:/folder/a.sock.
            path: Path of the request; not escaped here.
            headers: Headers beside Host and Content-Length.
            body: Its body.

        Raises:
            TimeoutError: No whole answer came in time.
            OSError: Nothing listens there, the connection was closed, or what came is no answer (`BadAnswer`).
        """
        host = "localhost" if address.startswith(SOCKET) else urlsplit(address).netloc
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any(not line.isascii() or not line.isprintable() for line in lines):
            raise ValueError("A head has printable ASCII alone.")
        request = "\r\n".join([*lines, "", ""]).encode() + body
        async with asyncio.timeout(self._timeout_s):
            while idle := self._idle.get(address):
                kept = idle.pop()
                try:
                    return await self._ask(kept, address, request)
                except ConnectionResetError:
                    if kept.has_begun:
                        raise
            self._idle = {each: kept for each, kept in self._idle.items() if any(one.is_open for one in kept)}
            return await self._ask(await _connect(address), address, request)

    async def _ask(self, connection: "_Connection", address: str, request: bytes) -> tuple[int, bytes]:
        """The answer. The connection is kept, unless it is to be closed or something went wrong."""
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.setdefault(address, []).append(connection)
        return answer


async def _connect(address: str) -> "_Connection":
    loop, parts = asyncio.get_running_loop(), urlsplit(address)
    if address.startswith(SOCKET):
        _, connection = await loop.create_unix_connection(_Connection, address.removeprefix(SOCKET))
    else:
        _, connection = await loop.create_connection(_Connection, parts.hostname or "", parts.port or 80)
    return connection


class _Connection(asyncio.Protocol):
    """A connection on which one request after the other is answered; `httptools` parses the answers and calls `on_...`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.is_open = False
        self.has_begun = False
        """Whether a part of the last answer has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It may be asked on."""
        self._transport = transport  # type: ignore[assignment] # of a stream
        self._parser = httptools.HttpResponseParser(self)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that is under way will not come."""
        self.is_open = False
        self._fail(ConnectionResetError("The connection was closed."))

    def ask(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Send a request; the result is status and content of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._content, self.has_begun = bytearray(), False
        if self._transport is None or not self.is_open:
            self._fail(ConnectionResetError("The connection was closed."))
        else:
            self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Close the connection; an answer that is under way is lost."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse a part of an answer."""
        if self._answer is None or self._answer.done():
            self.close()  # nothing was asked
            return
        self.has_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(BadAnswer("What came is no answer."))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the content."""
        self._content += body
        if len(self._content) > MAX_ANSWER:
            self._fail(BadAnswer("The answer is too large."))

    def on_message_complete(self) -> None:
        """The answer is whole."""
        is_asked = self._answer is not None and not self._answer.done()
        if not is_asked or not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and is_asked:
            self._answer.set_result((self._parser.get_status_code(), bytes(self._content)))

    def _fail(self, error: OSError) -> None:
        """Let the answer that is under way, if there is one, be an error."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
            self.close()
