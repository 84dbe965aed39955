"""Requests over connections that are kept, against servers that do as they are told."""

import asyncio
import contextlib
from tempfile import TemporaryDirectory

import pytest
from aiohttp import web

from serving.backends import exchange
from serving.backends.exchange import BadAnswer, Exchange
from tests.support.recording import recording

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """A server on loopback. Each request is answered with the next of `answers`; None ends the connection instead."""

    def __init__(self, *answers):
        self.answers, self.heads, self.connections = list(answers), [], 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                length = next(int(line.split(":")[1]) for line in head if line.startswith("Content-Length"))
                self.heads.append((head, await reader.readexactly(length)))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                if isinstance(answer, Ending):
                    break
        writer.close()


class Ending(bytes):
    """An answer after which the server closes the connection."""


def ask(*answers, times=1, timeout_s=5.0, body=b"a body"):
    """What comes of some requests, one after the other, and the server."""

    async def run():
        found, asking = [], Exchange(timeout_s)
        async with Server(*answers) as server:
            for _ in range(times):
                try:
                    found.append(await asking.send("POST", server.address, "/predict", {"Authorization": "Bearer t"}, body))
                except OSError as error:
                    found.append(error)
                await asyncio.sleep(0.01)  # a connection that is closed is seen to be closed
            return found, server

    return asyncio.run(run())


def test_a_request_has_the_headers_that_are_given_and_its_length():
    ((status, content),), server = ask(GOOD)
    assert (status, content) == (200, b"hello")
    ((head, body),) = server.heads
    netloc = server.address.removeprefix("http://")
    assert head == ["POST /predict HTTP/1.1", f"Host: {netloc}", "Content-Length: 6", "Authorization: Bearer t", ""]
    assert body == b"a body"


def test_a_server_is_asked_at_a_socket_that_is_a_file():
    async def run(folder):
        async with recording(web.Response(text="hello"), f"{folder}/a.sock") as (file, seen):
            return await Exchange(5).send("POST", f"unix:{file}", "/predict", {}, b"a body"), seen

    with TemporaryDirectory() as folder:  # the path of a socket must be short
        (status, content), ((method, path, headers, body),) = asyncio.run(run(folder))
    assert (status, content) == (200, b"hello")
    assert (method, path, headers["Host"], body) == ("POST", "/predict", "localhost", b"a body")


def test_a_connection_is_kept_for_the_next_request():
    found, server = ask(
        GOOD, b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n1\r\n!\r\n0\r\n\r\n", GOOD, times=3
    )
    assert found == [(200, b"hello"), (503, b"not!"), (200, b"hello")]
    assert server.connections == 1


@pytest.mark.parametrize("last", [Ending(GOOD), Ending(GOOD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))])
def test_a_connection_that_was_closed_meanwhile_is_replaced(last):
    found, server = ask(last, GOOD, times=2)
    assert found == [(200, b"hello")] * 2
    assert server.connections == 2


def test_a_kept_connection_that_closes_without_an_answer_is_tried_once_more_on_a_new_one():
    found, server = ask(GOOD, None, GOOD, times=2)
    assert found == [(200, b"hello")] * 2
    assert (server.connections, len(server.heads)) == (2, 3)


@pytest.mark.parametrize("answer", [None, Ending(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")])
def test_a_new_connection_that_closes_before_the_answer_is_whole_is_an_error(answer):
    (error,), server = ask(answer)
    assert isinstance(error, ConnectionResetError)
    assert len(server.heads) == 1


def test_an_answer_that_was_cut_short_on_a_kept_connection_is_not_asked_for_again():
    found, server = ask(GOOD, Ending(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"), times=2)
    assert isinstance(found[1], ConnectionResetError)
    assert len(server.heads) == 2


def test_what_is_no_answer_is_an_error_and_its_connection_is_not_used_again():
    found, server = ask(b"SSH-2.0-OpenSSH_9\r\n", GOOD, times=2)
    assert isinstance(found[0], BadAnswer)
    assert found[1] == (200, b"hello")
    assert server.connections == 2


def test_an_answer_beyond_the_limit_is_an_error(monkeypatch):
    monkeypatch.setattr(exchange, "MAX_ANSWER", 4)
    (error,), _ = ask(GOOD)
    assert isinstance(error, BadAnswer)


def test_what_comes_without_a_request_closes_the_connection():
    found, server = ask(GOOD + GOOD, GOOD, times=2)
    assert found == [(200, b"hello")] * 2
    assert server.connections == 2


def test_no_answer_in_time_is_an_error():
    (error,), _ = ask(b"", timeout_s=0.05)
    assert isinstance(error, TimeoutError)


def test_nothing_that_listens_is_an_error():
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(Exchange(1).send("GET", "http://127.0.0.1:1", "/", {}))


def test_a_socket_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        asyncio.run(Exchange(1).send("GET", "unix:/none.sock", "/", {}))


@pytest.mark.parametrize("path", ["/a\r\nX: y", "/a\nb", "/\x00", "/\u00e4"])
def test_nothing_can_be_smuggled_into_a_head(path):
    with pytest.raises(ValueError, match="printable ASCII"):
        asyncio.run(Exchange(1).send("GET", "http://127.0.0.1:1", path, {}))


def test_nothing_is_kept_of_a_server_that_has_ended():
    async def run():
        asking = Exchange(5)
        for _ in range(3):  # as versions come and go, each at a port of its own
            async with Server(Ending(GOOD)) as server:
                assert await asking.send("GET", server.address, "/", {}) == (200, b"hello")
            await asyncio.sleep(0)
            while any(one.is_open for kept in asking._idle.values() for one in kept):
                await asyncio.sleep(0.01)
        return len(asking._idle)

    assert asyncio.run(run()) == 1
