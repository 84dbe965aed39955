"""What TorchServe is sent: a request of our own, whatever the client's was."""

import asyncio
import json
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import pytest
from aiohttp import web

from model.errors import NotFound, Unavailable
from model.files import write_json
from model.home import Home
from serving.backends.exchange import SOCKET
from serving.backends.torchserve.asking import TorchServe
from serving.backends.torchserve.configuration import queries_address
from serving.operations.envelope import pack, pack_answers
from tests.support.recording import QUERIES, SERVED, recording


@pytest.fixture
def folder(tmp_path):
    serve = Home.at(tmp_path).serve
    serve.root.mkdir()
    write_json(serve.tokens, {"management": {"key": "to manage"}, "inference": {"key": "to ask"}})
    return serve


@asynccontextmanager
async def server(folder, answer):
    """A server in TorchServe's place, which answers with `answer` and yields the requests that it got."""
    with TemporaryDirectory() as scratch:  # the path of a socket must be short
        async with recording(answer, queries_address(scratch).removeprefix(SOCKET)) as (_, seen):
            ports = dict.fromkeys(("management", "metrics", "grpc_inference", "grpc_management"), 1)
            write_json(folder.state, {"pid": 1, "ports": ports, "scratch": scratch})
            yield seen


def ask(folder, answer):
    """What comes back of one block of queries, and the requests that the server got."""

    async def run():
        async with server(folder, answer) as seen:
            return await TorchServe(folder).ask(SERVED, QUERIES), seen

    return asyncio.run(run())


def test_a_query_is_sent_with_our_token_and_no_header_that_is_not_needed(folder):
    answers, ((method, path, headers, body),) = ask(folder, web.Response(body=pack_answers([{"release": "r"}])))
    assert answers == [{"release": "r"}]
    assert (method, path, body) == ("POST", "/predictions/demo/3", pack(QUERIES))
    assert headers["Authorization"] == "Bearer to ask"
    assert set(headers) == {"Host", "Authorization", "Content-Type", "Content-Length"}  # an Accept-Encoding would cost 2 ms


def test_an_unknown_version_is_not_found(folder):
    with pytest.raises(NotFound, match="no version 3 of demo"):
        ask(folder, web.Response(status=404))


@pytest.mark.parametrize("answer", [(503, b""), (200, b"[]"), (200, b"no json"), (200, json.dumps([{"x": 1}]).encode())])
def test_an_answer_that_is_none_is_unavailable(folder, answer):
    status, body = answer
    with pytest.raises(Unavailable):
        ask(folder, web.Response(status=status, body=body))


def test_without_a_server_on_record_queries_are_unavailable(folder):
    with pytest.raises(Unavailable, match="No server of models runs"):
        asyncio.run(TorchServe(folder).ask(SERVED, QUERIES))
