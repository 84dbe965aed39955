"""The client's own checks, and what refusals mean."""

import asyncio
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from model.errors import Conflict, InvalidInput, NotFound, Overloaded, TooLarge, Unavailable
from model.schemas.status import ServedModel, ServedVersion, ServerStatus, Worker
from serving import client
from serving.client import AsyncClient, Client
from serving.gateway.http import make_config
from tests.support.releases import draw_image, huge_png

NOBODY = "http://127.0.0.1:9"
ANSWER = {"neighbours": [{"id": "a.png", "label": "a", "score": 0.5}], "release": "r", "embedding_space_id": "s"}


@pytest.mark.parametrize("data", [b"", b"text", huge_png()], ids=["empty", "text", "bomb"])
def test_the_client_refuses_what_is_no_image_before_it_sends_anything(data, tmp_path):
    (tmp_path / "image.jpg").write_bytes(data)
    with pytest.raises(InvalidInput) as caught:
        Client(NOBODY).search(tmp_path / "image.jpg")
    assert "\n" not in str(caught.value)


def test_the_client_says_where_nothing_listens(tmp_path):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but nobody listens
        nobody = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(Unavailable, match="Nothing answers"):
            Client(nobody).embed(draw_image(1))
        with pytest.raises(Unavailable, match="Nothing answers"):
            asyncio.run(AsyncClient(nobody).embed(draw_image(1)))
    with pytest.raises(NotFound):
        Client(NOBODY).search(tmp_path / "none.png")


def test_a_connection_is_given_up_before_the_gateway_closes_it():
    """Else a query may be sent into a connection that is just being closed, which looks as if nothing listened."""
    assert make_config(None).timeout_keep_alive > client.KEPT_S


@pytest.mark.parametrize("address", ["http://[", "ftp://x", "nowhere"])
def test_an_address_that_is_none_is_an_error_of_ours(address):
    with pytest.raises((InvalidInput, Unavailable)):
        Client(address).search(draw_image(1))


@pytest.mark.parametrize("model", ["a/b", "..", "a b", "x" * 65])
def test_a_name_that_no_model_can_have_is_not_sent(model):
    with pytest.raises(InvalidInput, match="cannot be the name"):
        Client(NOBODY).search(draw_image(1), model=model)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (409, {"type": "urn:glocal:conflict", "title": "No.", "detail": "h", "status": 409}, Conflict, "No. h"),
        (422, {"type": "urn:glocal:invalid-input", "title": "Empty."}, InvalidInput, "Empty."),
        (413, None, TooLarge, "413"),
        (404, {"code": 404}, NotFound, "404"),
        (429, None, Overloaded, "429"),
        (502, ["not", "an", "object"], Unavailable, "502"),
        (500, {"type": 5, "title": "x"}, Unavailable, "500"),
        (400, {"type": "urn:glocal:nobody-knows", "title": "x"}, client.GlocalError, "x"),
    ],
)
def test_refusals_become_errors_of_their_kind(status, body, kind, said):
    answer = httpx.Response(status, text="" if body is None else json.dumps(body))
    with pytest.raises(kind) as caught:
        client._checked(answer)
    assert type(caught.value) is kind
    assert said in str(caught.value)


class Endpoint(BaseHTTPRequestHandler):
    """Has no room for the first requests, then answers; remembers what it was sent."""

    protocol_version = "HTTP/1.1"
    full = 0
    seen = ()
    asked = ()

    def do_GET(self):
        self.asked.append(self.path)
        self._answer(200, {"release": "r"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers.get("Authorization"), body, self.client_address))
        no_room = len(self.seen) <= self.full
        self._answer(429 if no_room else 200, {"type": "urn:glocal:overloaded", "title": "Full."} if no_room else ANSWER)

    def _answer(self, status, content):
        text = json.dumps(content).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    handler = type("Handler", (Endpoint,), {"seen": [], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_answers_are_typed_and_connections_are_kept(endpoint):
    handler, address = endpoint
    with Client(address, "secret") as one:
        answers = [one.search(draw_image(1), 3, label="a", rerank=False, model="mugs") for _ in range(3)]
    assert answers[0].neighbours[0].label == "a"
    paths, keys, bodies, sockets = map(set, zip(*handler.seen, strict=True))
    assert paths == {"/v1/models/mugs/search?k=3&label=a&rerank=false"}
    assert (keys, bodies, len(sockets)) == ({"Bearer secret"}, {draw_image(1)}, 1)


@pytest.mark.parametrize("full", [1, 2])
def test_a_request_without_room_is_sent_again(endpoint, full):
    handler, address = endpoint
    handler.full = full
    assert Client(address).search(draw_image(1)).release == "r"
    assert len(handler.seen) == full + 1
    handler.seen.clear()
    assert asyncio.run(AsyncClient(address).search(draw_image(1))).release == "r"
    assert len(handler.seen) == full + 1


def test_both_clients_have_the_same_methods_and_say_which_release_serves(endpoint):
    handler, address = endpoint
    of = [{name for name in vars(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
    assert of[0] == of[1]
    assert Client(address).release("mugs") == asyncio.run(AsyncClient(address).release("mugs")) == {"release": "r"}
    assert handler.asked == ["/v1/models/mugs/release"] * 2


def test_after_the_last_try_the_refusal_is_the_error(endpoint):
    handler, address = endpoint
    handler.full = 9
    with pytest.raises(Overloaded, match="Full"):
        Client(address, retries=1).search(draw_image(1))
    assert len(handler.seen) == 2


def state(*names):
    served = ServedVersion(version="1", workers=(Worker(id="1", pid=1, status="READY"),), waiting=0)
    models = {name: ServedModel(default="1", versions=(served,)) for name in names}
    return ServerStatus(running=True, state="serving" if names else "empty", log="logs", models=models)


def test_the_only_served_model_needs_no_name():
    assert client.choose_model(state("mugs"), "") == "mugs"
    assert client.choose_model(state("mugs", "oats"), "oats") == "oats"


def test_one_of_several_served_models_must_be_named():
    with pytest.raises(InvalidInput, match="Several models") as caught:
        client.choose_model(state("oats", "mugs"), "")
    assert caught.value.hint == "Name one with --name: mugs, oats."


def test_a_model_that_is_not_served_is_named_with_those_that_are():
    with pytest.raises(NotFound, match=r"No model rye is served\. Served: mugs, oats\."):
        client.choose_model(state("oats", "mugs"), "rye")


def test_nothing_can_be_asked_where_nothing_serves():
    with pytest.raises(Unavailable, match="does not run"):
        client.choose_model(ServerStatus(running=False, state="stopped", log="logs"), "")
    with pytest.raises(Unavailable, match="serves no model"):
        client.choose_model(state(), "mugs")
    with pytest.raises(Unavailable, match="does not answer"):
        client.choose_model(ServerStatus(running=True, state="deaf", pid=7, log="logs"), "")
