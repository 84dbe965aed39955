"""Slow clients and bad framing, over a socket."""

import socket
import threading

import pytest
import uvicorn

from serving.backends.port import Served
from serving.gateway import app as application
from serving.gateway import http
from serving.gateway.app import Models, make_app
from serving.gateway.keys import KeyFile, Scope, create_key
from serving.gateway.room import Room

HEAD = "POST /v1/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n"


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def served(tmp_path, monkeypatch, room):
    """A gateway that is soon out of patience: its port, and a request head with a key."""
    monkeypatch.setattr(http, "HEAD_S", 0.3)
    monkeypatch.setattr(application, "BODY_S", 0.3)
    _, secret = create_key(tmp_path / "keys.json", "x", [Scope.CALLER])
    app = make_app(Models(None, lambda: {"mugs": Served("mugs", "1")}), KeyFile(tmp_path / "keys.json"), room)
    server = uvicorn.Server(http.make_config(app))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1], HEAD.format(secret).encode()
        server.should_exit = True
        thread.join()


def send(port, data, *, then_end=False):
    """What is answered until the connection is closed, or for three seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
        raw.sendall(data)
        if then_end:
            raw.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while part := raw.recv(2**16):
                received += part
        except TimeoutError:
            received += b"[open]"
        return received


@pytest.mark.parametrize("data", [b"", b"POST /v1/search HTTP/1.1\r\nHos", b"\r\n"])
def test_a_connection_without_a_request_is_closed(served, data):
    port, _ = served
    assert b"[open]" not in send(port, data)


def test_a_body_that_stalls_is_a_408_and_gives_its_room_back(served, room):
    port, head = served
    answer = send(port, head + b"Content-Length: 100\r\nConnection: close\r\n\r\nabc")
    assert answer.split()[1] == b"408"
    assert b"[open]" not in answer
    assert (room.requests, room.bytes) == (0, 0)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Bad Header: x\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["negative", "two lengths", "endless", "no header", "no chunk"],
)
def test_bad_framing_is_refused(served, framing):
    port, head = served
    answer = send(port, head + framing, then_end=True)
    assert not answer or answer.split()[1][:1] == b"4", answer[:300]
