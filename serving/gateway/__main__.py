"""The gateway's process: `python -m serving.gateway GLOCAL_HOME PORT HOST SAMPLE_SHARE BACKEND`. `process` starts it."""

import asyncio
import gc
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop

from model.files import write_json
from model.home import Home, ServeFolder
from serving.backends import named
from serving.gateway.app import Models, make_app
from serving.gateway.audit import AUDIT
from serving.gateway.batches import Batches
from serving.gateway.challenge import Challenges
from serving.gateway.deployments import Deployments
from serving.gateway.guard import NOTE_S
from serving.gateway.http import make_config
from serving.gateway.keys import KeyFile
from serving.gateway.room import Room
from serving.gateway.samples import Samples
from serving.printed import bound_logs, write_logs
from serving.processes import bind_port

_LOOK_S = 60.0
"""Seconds between two looks at the logs of the other servers."""


def main(home: Path, port: int, host: str, sample_share: float, backend: str) -> None:
    """Serve until a signal ends it; requests under way are answered first."""
    folder = Home.at(home).serve
    write_logs({logging.getLogger(): folder.gateway_logs / "gateway.log", AUDIT: folder.audit_log})
    logging.getLogger("glocal.gateway").setLevel(logging.INFO)
    asking, deployments, room = Batches(named(backend).asking(folder)), Deployments(folder), Room()
    challenges = Challenges(asking, deployments.challengers, folder.aborted, room)
    app = make_app(
        Models(asking, deployments.served),
        KeyFile(folder.keys),
        room,
        challenges,
        Samples(folder.samples, sample_share),
        shown=[asking.waited],
    )
    gc.freeze()  # what was imported stays: to look through it takes 18 ms, in which no request is answered
    with bind_port(port, host) as listening:
        write_json(folder.gateway, {"pid": os.getpid(), "port": listening.getsockname()[1], "host": host})
        uvloop.run(_serve(uvicorn.Server(make_config(app)), listening, folder))


async def _serve(server: uvicorn.Server, listening: socket.socket, folder: ServeFolder) -> None:
    bounding = asyncio.create_task(_bound_logs(folder))
    await server.serve([listening])
    await asyncio.sleep(2 * NOTE_S)  # what was answered last is counted and logged
    bounding.cancel()


async def _bound_logs(folder: ServeFolder) -> None:
    """Keep what all servers of the home print within bounds, as long as the gateway runs."""
    while True:
        await asyncio.to_thread(bound_logs, folder)
        await asyncio.sleep(_LOOK_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), sys.argv[5])
