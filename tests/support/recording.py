"""A server on loopback that answers every request alike and keeps what it got."""

from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from serving.backends.port import Served
from serving.operations.query import make_query

SERVED = Served("demo", "3")
QUERIES = [make_query("embed", [b"an image"])]
"""A version, and a block of queries to it, for the tests of what an adapter sends."""


@asynccontextmanager
async def recording(answer):
    """Yields the server's port, and the requests that it gets: method, path, headers and body of each."""
    seen = []

    async def respond(request):
        seen.append((request.method, request.path, dict(request.headers), await request.read()))
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(app) as running:
        yield running.port, seen
