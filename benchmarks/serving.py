"""What serving costs: the gateway with either server behind it, beside the bare engine and the same engine under LitServe alone.

    python -m benchmarks.serving --json

The same weights, images and threads a worker; ways take turns in every round, so that a noisy machine disturbs them alike.
"""

import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: each worker has one thread as well

import httpx
import numpy as np
import torch
import typer

from benchmarks.detection import say, whitened_checkpoint
from model.home import Home
from model.index import build_release
from model.release import Release
from model.schemas.data_pin import DataPin
from serving import backends, server
from serving.engine.engine import Engine
from serving.local import local_client, read_key
from serving.operations.query import make_query
from serving.processes import bind_port, clean_environment, start_detached, wait_until
from serving.protocol import LOOPBACK, bearer, local_address
from serving.rollout.endpoint import connect
from serving.rollout.switch import switch_over

Ask = Callable[[bytes], Any]
NAME = "bench"
_LENGTH = re.compile(rb"(?i)content-length: *([0-9]+)")
_TURN = 5
"""Requests of one way before it is the next one's turn; one more before them, which is not counted."""
GATEWAY, OTHER, LITSERVE, ENGINE = "gateway + TorchServe", "gateway + LitServe", "LitServe", "engine"
PIN = {"repo": "data", "rev": "0" * 40, "path": "catalogue", "md5": "7" * 32, "files": 128, "bytes": 1, "classes": 16}


def make_release(folder: Path) -> Release:
    """A release of the drawn catalogue with whitened heads."""
    checkpoint = whitened_checkpoint(folder)
    pin = DataPin.model_validate(PIN)
    return build_release(folder / "catalogue", checkpoint, folder / "release", pin=pin, code_revision="bench", detection="never")


def images_of(folder: Path) -> list[bytes]:
    """Some encoded images of the drawn catalogue, to ask about."""
    return [file.read_bytes() for file in sorted((folder / "catalogue" / "images").rglob("*.jpg"))[:32]]


def home_in(folder: Path, name: str = "home") -> Home:
    """A home for an endpoint of its own."""
    home = Home.at(folder / name)
    home.serve.root.mkdir(parents=True)
    return home


@contextmanager
def gateway(home: Home, release: Release, workers: int, backend: str = "torchserve") -> Iterator[Callable[[], Ask]]:
    """The endpoint as it is deployed; yields what makes a client with a connection of its own."""
    try:
        with connect(home.serve, server.ensure(home, backends.named(backend))) as endpoint:
            switch_over(endpoint, release, "1", name=NAME, workers=workers)
            port = httpx.URL(local_client(home.serve).address).port or 80
            headers = bearer(str(read_key(home.serve))) | {"Content-Type": "image/jpeg"}
            yield lambda: connected(port, "/v1/search", lambda image: (image, headers))
    finally:
        server.stop(home)


@contextmanager
def litserve(release: Release, workers: int, folder: Path) -> Iterator[Callable[[], Ask]]:
    """The same engine under LitServe alone; yields as `gateway` does."""
    with bind_port() as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.bare_litserve", str(release.folder), str(port), str(workers)]
    environment = {**clean_environment(), "OMP_NUM_THREADS": "1"}
    process = start_detached(command, folder=folder, environment=environment, log=folder / "litserve.log")
    try:

        def is_up() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{local_address(port)}/health", timeout=5, trust_env=False).is_success
            return False

        if not wait_until(is_up, deadline_s=120):
            raise SystemExit(f"LitServe did not start; see {folder / 'litserve.log'}")
        yield lambda: connected(port, "/predict", _form)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


def connected(port: int, path: str, request_of: Callable[[bytes], tuple[bytes, Mapping[str, str]]]) -> Ask:
    """A client with a connection of its own, and with little work of its own: what is measured is the server.

    Args:
        port: Port on this machine.
        path: Where images are sent.
        request_of: Body and headers of an image's request.
    """
    connection = socket.create_connection((LOOPBACK, port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @cache
    def request(image: bytes) -> bytes:
        body, headers = request_of(image)
        named = {"Host": LOOPBACK, "Content-Length": str(len(body)), **headers}
        return (
            "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]).encode() + body
        )

    def ask(image: bytes) -> None:
        connection.sendall(request(image))
        answer = connection.recv(2**16)
        while not is_whole(answer):
            if not (more := connection.recv(2**16)):
                raise SystemExit(f"{path} closed the connection")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"{path} answered {answer[:200]!r}")

    return ask


def is_whole(answer: bytes) -> bool:
    """Whether an answer has its head, and a body of the length that the head states."""
    head, _, body = answer.partition(b"\r\n\r\n")
    stated = _LENGTH.search(head)
    return stated is not None and len(body) >= int(stated[1])


@cache
def _form(image: bytes) -> tuple[bytes, Mapping[str, str]]:
    """An image as the field of a form."""
    request = httpx.Request("POST", "http://localhost", files={"image": ("a.jpg", image, "image/jpeg")})
    return request.read(), {"Content-Type": request.headers["Content-Type"]}


def one_at_a_time(ask: Ask, images: list[bytes], count: int) -> list[float]:
    """Milliseconds of each of some requests, one after the other."""
    taken = []
    for number in range(count):
        began = time.perf_counter()
        ask(images[number % len(images)])
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def by_turns(asks: Mapping[str, Ask], images: list[bytes], count: int) -> dict[str, list[float]]:
    """`one_at_a_time` of each way, a few requests each in turn, since a shared machine changes its speed within a round."""
    taken: dict[str, list[float]] = {name: [] for name in asks}
    while len(min(taken.values(), key=len)) < count:
        for name, ask in asks.items():
            one_at_a_time(ask, images, 1)
            taken[name] += one_at_a_time(ask, images, _TURN)
    return taken


def at_once(client: Callable[[], Ask], images: list[bytes], clients: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second of several clients that ask without a pause, and the milliseconds of each request."""
    until = time.perf_counter() + seconds

    def run(number: int) -> list[float]:
        ask, taken = client(), list[float]()
        while time.perf_counter() < until:
            taken += one_at_a_time(ask, [images[(number + len(taken)) % len(images)]], 1)
        return taken

    with ThreadPoolExecutor(clients) as pool:
        taken = [each for one in pool.map(run, range(clients)) for each in one]
    return len(taken) / seconds, taken


def summary(values: list[float]) -> dict[str, float]:
    """The median of the rounds, and their range."""
    return {"value": round(float(np.median(values)), 3), "low": round(min(values), 3), "high": round(max(values), 3)}


def measure(
    ways: dict[str, Callable[[], Ask]],
    engine: Engine,
    images: list[bytes],
    *,
    rounds: int,
    queries: int,
    clients: int,
    seconds: float,
) -> dict[str, Any]:
    """Let the ways take turns; returns figures and ratios."""

    def bare() -> Ask:
        return lambda image: engine.answer(make_query("search", [image]))

    singles = {**ways, ENGINE: bare}
    found: dict[str, dict[str, list[float]]] = {name: {"p50_ms": [], "per_second": [], "p99_ms": []} for name in singles}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, taken in by_turns({name: client() for name, client in singles.items()}, images, queries).items():
            found[name]["p50_ms"].append(float(np.median(taken)))
        for name, client in ways.items():
            rate, taken = at_once(client, images, clients, seconds)
            found[name]["per_second"].append(rate)
            found[name]["p99_ms"].append(float(np.percentile(taken, 99)))

    def ratio(figure: str, one: str, other: str) -> dict[str, float]:
        return summary([a / b for a, b in zip(found[one][figure], found[other][figure], strict=True)])

    return {
        "p50_ratio": ratio("p50_ms", GATEWAY, ENGINE),
        "litserve_gateway_p50_ratio": ratio("p50_ms", OTHER, ENGINE),
        "litserve_p50_ratio": ratio("p50_ms", LITSERVE, ENGINE),
        "throughput_ratio": ratio("per_second", GATEWAY, LITSERVE),
        "litserve_gateway_throughput_ratio": ratio("per_second", OTHER, LITSERVE),
        "p99_ratio": ratio("p99_ms", GATEWAY, LITSERVE),
        "ways": {name: {key: summary(values) for key, values in one.items() if values} for name, one in found.items()},
    }


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds in which the ways take turns.")] = 5,
    queries: Annotated[int, typer.Option(min=1, help="Requests of one client in a round.")] = 60,
    clients: Annotated[int, typer.Option(min=1, help="Clients that ask at once.")] = 16,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds for which they ask, in each round.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Workers of each server.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Compare the ways to serve a release."""
    torch.set_num_threads(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        say("making a release")
        release = make_release(folder)
        images = images_of(folder)
        home = home_in(folder)
        ways = {
            GATEWAY: stack.enter_context(gateway(home, release, workers)),
            OTHER: stack.enter_context(gateway(home_in(folder, "other"), release, workers, "litserve")),
            LITSERVE: stack.enter_context(litserve(release, workers, folder)),
        }
        found = measure(ways, Engine(release.folder), images, rounds=rounds, queries=queries, clients=clients, seconds=seconds)
    if as_json:
        print(json.dumps(found))
        return
    for name, one in found["ways"].items():
        print(f"{name:22}" + "".join(f"  {key} {value['value']:.1f}" for key, value in one.items()))
    for name, value in found.items():
        if name != "ways":
            print(f"{name:22}  {value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]")


if __name__ == "__main__":
    typer.run(main)
