"""What the process of a version is sent under LitServe, and what its answers mean."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from model.errors import NotFound, Overloaded, Unavailable
from model.files import write_json
from model.home import Home
from serving.backends.litserve.asking import LitServe
from serving.backends.litserve.process import Place
from serving.operations.envelope import pack, pack_answers
from tests.support.recording import QUERIES, SERVED, recording


@pytest.fixture
def folder(tmp_path):
    return Home.at(tmp_path).serve


@asynccontextmanager
async def process(folder, answer):
    """A server in the place of a version's process, which answers with `answer` and yields the requests that it got."""
    place = Place.of(folder, SERVED.name, SERVED.version)
    place.root.mkdir(parents=True)
    async with recording(answer) as (port, seen):
        write_json(place.state, {"pid": 1, "port": port, "token": "to ask", "workers": 1})
        yield seen


def ask(folder, answer):
    """What comes back of one block of queries, and the requests that the process got."""

    async def run():
        async with process(folder, answer) as seen:
            return await LitServe(folder).ask(SERVED, QUERIES), seen

    return asyncio.run(run())


def test_a_query_is_sent_with_the_token_of_its_version_and_no_header_that_is_not_needed(folder):
    answers, ((method, path, headers, body),) = ask(folder, web.Response(body=pack_answers([{"release": "r"}])))
    assert answers == [{"release": "r"}]
    assert (method, path, body) == ("POST", "/predict", pack(QUERIES))
    assert headers["Authorization"] == "Bearer to ask"
    assert set(headers) == {"Host", "Authorization", "Content-Type", "Content-Length"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, b"", Overloaded),
        (401, b"", Unavailable),
        (500, b"", Unavailable),
        (200, b"[]", Unavailable),
        (200, b"no json", Unavailable),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_what_to_do(folder, status, body, error):
    with pytest.raises(error) as caught:
        ask(folder, web.Response(status=status, body=body))
    assert type(caught.value) is error
    assert caught.value.retry


def test_a_version_that_is_not_loaded_is_not_found(folder):
    with pytest.raises(NotFound, match="no version 3 of demo"):
        asyncio.run(LitServe(folder).ask(SERVED, QUERIES))


@pytest.mark.parametrize(("workers", "is_ready"), [([7], True), ([], False)])
def test_a_version_is_ready_with_one_worker(folder, workers, is_ready):
    async def run():
        async with process(folder, web.json_response({"ready": workers, "waiting": 0})):
            return await LitServe(folder).ready(SERVED)

    assert asyncio.run(run()) is is_ready
