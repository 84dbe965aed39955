"""A server of this machine that answers every request alike and keeps what it got."""

from contextlib import asynccontextmanager

from aiohttp import web

from serving.backends.port import Served
from serving.operations.query import make_query

SERVED = Served("demo", "3")
QUERIES = [make_query("embed", [b"an image"])]
"""A version, and a block of queries to it, for the tests of what an adapter sends."""


@asynccontextmanager
async def recording(answer, socket=None):
    """Yields the port of a server on loopback, and the requests that it gets: method, path, headers and body of each.

    If the path of a socket is given, it listens there, and that is what is yielded in place of a port.
    """
    seen = []

    async def respond(request):
        seen.append((request.method, request.path, dict(request.headers), await request.read()))
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await (web.UnixSite(runner, socket) if socket else web.TCPSite(runner, "127.0.0.1", 0)).start()
        yield socket or runner.addresses[0][1], seen
    finally:
        await runner.cleanup()
