"""Slow clients and bad framing, over a socket."""

import asyncio
import logging
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import uvicorn

from model.home import Home
from serving.backends.port import Served
from serving.gateway import app as application
from serving.gateway import http
from serving.gateway.app import Models, make_app
from serving.gateway.batches import Batches
from serving.gateway.keys import KeyFile, Scope, create_key
from serving.gateway.room import Room
from serving.processes import wait_until

HEAD = "POST /v1/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n"


@pytest.fixture
def room():
    return Room()


class Busy:
    """A backend that answers when it is let."""

    def __init__(self):
        self.let, self.asked = threading.Event(), []

    async def ask(self, served, queries):
        self.asked += [query.images[0] for query in queries]
        while not self.let.is_set():
            await asyncio.sleep(0.005)
        return [{"release": "r", "neighbours": []} for _ in queries]

    async def ready(self, served):
        return True


@pytest.fixture
def backend():
    return Busy()


@pytest.fixture
def served(tmp_path, monkeypatch, room, backend):
    """A gateway that is soon out of patience: its port, and a request head with a key."""
    monkeypatch.setattr(http, "HEAD_S", 0.3)
    monkeypatch.setattr(http, "SEND_S", 0.3)
    monkeypatch.setattr(application, "BODY_S", 0.3)
    folder = Home(tmp_path).serve
    _, secret = create_key(folder, "x", [Scope.CALLER])
    models = Models(Batches(backend), lambda: {"mugs": Served("mugs", "1")})
    app = make_app(models, KeyFile(folder.keys), room)
    server = uvicorn.Server(http.make_config(app))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # what a client does not read soon stays with us
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1], HEAD.format(secret).encode()
        backend.let.set()
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


def test_a_request_over_one_connection_too_many_is_told_when_to_come_back(served, monkeypatch):
    monkeypatch.setattr(http, "CONNECTIONS", 1)
    port, _ = served
    asked, once = (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n" for more in (b"", b"Connection: close\r\n"))
    with socket.create_connection(("127.0.0.1", port), timeout=3) as first:
        first.sendall(asked)
        assert first.recv(2**16).startswith(b"HTTP/1.1 200")
        refused = send(port, once)
        assert refused.startswith(b"HTTP/1.1 429")
        assert b"retry-after: 1" in refused.lower()
        assert b"urn:glocal:overloaded" in refused
    assert wait_until(lambda: send(port, once).startswith(b"HTTP/1.1 200"), deadline_s=3)


def test_head_and_body_go_together_and_what_comes_before_the_head_does_not_wait():
    sent = []
    transport = SimpleNamespace(write=sent.append, close=None, is_closing=None)
    cycle = SimpleNamespace(transport=transport, response_started=False)
    answer = http._Answer(cycle)
    answer.write(b"100 Continue ")
    assert sent == [b"100 Continue "]
    cycle.response_started = True
    for part in (b"head ", b"body ", b"more"):
        answer.write(part)
    assert sent[1:] == [b"head body ", b"more"]


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
@pytest.mark.parametrize("method", [b"HEAD", b"PUT", b"GET"])
def test_an_answer_is_whole_with_a_body_and_without(served, method, expect):
    port, _ = served
    answer = send(port, method + b" /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + expect + b"\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200" if method == b"GET" else b"HTTP/1.1 405")
    assert bool(body) == (method != b"HEAD")


@pytest.mark.parametrize("times", [1, 1000], ids=["little", "much"])
@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_a_client_that_does_not_read_what_it_is_answered_does_not_keep_its_connection(served, monkeypatch, times, more):
    monkeypatch.setattr(http, "CONNECTIONS", 1)
    port, _ = served
    asked = b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(times * asked)
        once = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert send(port, once).startswith(b"HTTP/1.1 429")
        assert wait_until(lambda: send(port, once).startswith(b"HTTP/1.1 200"), deadline_s=4)


def test_a_client_that_reads_slowly_but_in_time_gets_the_whole_answer(served):
    port, _ = served
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(3)
        slow.connect(("127.0.0.1", port))
        for _ in range(3):
            slow.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)
            head, _, body = read_until(slow, b"\r\n\r\n").partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split()[0])
            while len(body) < size:
                body += slow.recv(2**16)
            assert body.endswith(b"}")


def read_until(raw, end):
    received = b""
    while end not in received:
        received += raw.recv(2**16)
    return received


def test_a_second_request_on_a_connection_gets_no_more_time_than_the_first(served):
    port, _ = served
    with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(2**16).startswith(b"HTTP/1.1 200")
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHos")
        assert raw.recv(2**16) == b""  # closed, where it used to stay open for ever


def test_the_body_of_a_refused_request_is_not_read_for_ever(served):
    port, _ = served
    head = b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
        raw.sendall(head)
        assert raw.recv(2**16).startswith(b"HTTP/1.1 401")
        raw.sendall(b"a")
        assert raw.recv(2**16) == b""


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"a" * 1000),
        (b"GET /healthz HTTP/1.1\r\nX: ", b"a" * 1000),
        (b"GET /healthz HTTP/1.1\r\n", b"X: a\r\n" * 200),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: a\r\n" * 200),
    ],
    ids=["address", "header", "headers", "trailers"],
)
def test_a_head_or_trailers_of_any_size_are_not_kept(served, begin, more):
    port, _ = served
    assert closes(port, begin, more * (20 * http.MAX_HEAD // len(more)))


def closes(port, *sent):
    """Whether the other side closes the connection, before all is sent or after."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
        try:
            for data in sent:
                raw.sendall(data)
            while raw.recv(2**16):
                pass
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False
    return True


def test_what_a_client_that_has_hung_up_asked_is_not_asked_of_a_worker_and_gives_its_room_back(served, backend, room, caplog):
    port, head = served

    def ask(image):
        raw = socket.create_connection(("127.0.0.1", port), timeout=3)
        raw.sendall(head + b"Content-Length: 1\r\nConnection: close\r\n\r\n" + image)
        return raw

    with caplog.at_level(logging.INFO, "glocal.gateway"), ask(b"1") as first:
        until(lambda: backend.asked == [b"1"])
        with ask(b"2"):
            until(lambda: room.requests == 2)
        until(lambda: room.requests == 1)
        with ask(b"3") as third:
            until(lambda: room.requests == 2)
            backend.let.set()
            assert first.recv(2**16).startswith(b"HTTP/1.1 200")
            assert third.recv(2**16).startswith(b"HTTP/1.1 200")
    assert backend.asked == [b"1", b"3"]
    assert (room.requests, room.bytes) == (0, 0)
    assert "POST /v1/search 499" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_client_that_hangs_up_in_its_body_is_no_fault_of_ours(served, room, caplog):
    port, head = served
    with caplog.at_level(logging.INFO, "glocal.gateway"):
        with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
            raw.sendall(head + b"Content-Length: 100\r\n\r\nabc")
            until(lambda: room.bytes == 3)
        until(lambda: room.requests == 0)
        until(lambda: "POST /v1/search 499" in caplog.text)
    assert "Traceback" not in caplog.text


def until(is_so):
    assert wait_until(is_so, deadline_s=3, pause_s=0.005)


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
