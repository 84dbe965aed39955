"""Ten times the load that the endpoint can carry: what is refused, and how long what is accepted takes.

    python -m benchmarks.overload --json

The full load is that of as many clients as saturate the workers; the overload is ten times as many, each of which asks again
after a refusal when the endpoint says.
"""

import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import aiohttp
import numpy as np
import typer

from benchmarks.detection import say
from benchmarks.serving import gateway, home_in, images_of, make_release
from model.home import Home
from serving.gateway.keys import Scope, create_key
from serving.local import local_client
from serving.protocol import bearer

Taken = list[tuple[int, float]]


async def ask_at_once(home: Home, images: Sequence[bytes], clients: int, seconds: float) -> Taken:
    """Status and milliseconds of every request of several clients; 0 for a connection that broke."""
    until = time.perf_counter() + seconds
    _, key = create_key(home.serve, "load", [Scope.CALLER])  # as an operator's, it would find more room
    headers = bearer(key) | {"Content-Type": "image/jpeg"}

    async def run(http: aiohttp.ClientSession, number: int) -> Taken:
        taken: Taken = []
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                async with http.post("/v1/search", data=images[(number + len(taken)) % len(images)]) as answer:
                    await answer.read()
                    status, pause = answer.status, float(answer.headers.get("Retry-After", 0))
            except aiohttp.ClientError:
                status, pause = 0, 1.0
            taken.append((status, 1000 * (time.perf_counter() - began)))
            await asyncio.sleep(min(pause, max(0.0, until - time.perf_counter())))
        return taken

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(local_client(home.serve).address, headers=headers, connector=connector) as http:
        return [each for one in await asyncio.gather(*(run(http, number) for number in range(clients))) for each in one]


def summary(taken: Taken, seconds: float) -> dict[str, Any]:
    """Statuses, and the times of the requests that were answered."""
    answered = [ms for status, ms in taken if status == HTTPStatus.OK]
    return {
        "statuses": dict(sorted(Counter(status for status, _ in taken).items())),
        "per_second": round(len(answered) / seconds, 1),
        "p50_ms": round(float(np.percentile(answered, 50)), 1),
        "p99_ms": round(float(np.percentile(answered, 99)), 1),
    }


def main(
    clients: Annotated[int, typer.Option(min=1, help="Clients of the full load.")] = 16,
    times: Annotated[int, typer.Option(min=1, help="How many times as many clients overload it.")] = 10,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each load.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Measure the endpoint at its full load and overloaded."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say("making a release")
        release = make_release(folder)
        images = images_of(folder)
        home = home_in(folder)
        with gateway(home, release, 1):
            asyncio.run(ask_at_once(home, images, clients, 3))
            full = summary(asyncio.run(ask_at_once(home, images, clients, seconds)), seconds)
            say(f"full load: {full}")
            over = summary(asyncio.run(ask_at_once(home, images, times * clients, seconds)), seconds)
    found = {"full": full, "over": over, "p99_ratio": round(over["p99_ms"] / full["p99_ms"], 2)}
    print(json.dumps(found) if as_json else json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)
