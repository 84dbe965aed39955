"""The client's own checks, and what refusals mean."""

import json
import socket

import httpx
import pytest

from model.errors import InvalidInput, NotFound, Unavailable
from model.schemas.status import ServedModel, ServedVersion, ServerStatus, Worker
from serving import client
from tests.support.releases import draw_image, huge_png


@pytest.mark.parametrize("data", [b"", b"text", huge_png()], ids=["empty", "text", "bomb"])
def test_the_client_refuses_what_is_no_image_before_it_sends_anything(data, tmp_path):
    (tmp_path / "image.jpg").write_bytes(data)
    with pytest.raises(InvalidInput) as caught:
        client.query("http://127.0.0.1:9", "glocal", tmp_path / "image.jpg")
    assert "\n" not in str(caught.value)


def test_the_client_says_where_nothing_listens(tmp_path):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(Unavailable, match="Nothing answers"):
            client.query(f"http://127.0.0.1:{bound.getsockname()[1]}", "glocal", draw_image(1))
    with pytest.raises(NotFound):
        client.query("http://127.0.0.1:9", "glocal", tmp_path / "none.png")
    with pytest.raises(InvalidInput, match="k must be"):
        client.query("http://127.0.0.1:9", "glocal", draw_image(1), 0)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (422, {"error": "The image is empty.", "hint": "h"}, InvalidInput, "The image is empty. h"),
        (413, None, InvalidInput, "413"),
        (404, {"code": 404, "message": "Model not found: x"}, NotFound, "Model not found"),
        (503, {"code": 503, "message": "busy"}, Unavailable, "busy"),
        (500, {"error": "The query could not be answered."}, Unavailable, "could not"),
        (502, ["not", "an", "object"], Unavailable, "502"),
    ],
)
def test_refusals_become_errors_of_their_kind(status, body, kind, said):
    answer = httpx.Response(status, text="" if body is None else json.dumps(body))
    assert type(client._error(answer)) is kind
    assert said in str(client._error(answer))


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
