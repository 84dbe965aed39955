"""Rollouts there and back under a steady load of all five operations: nothing fails, and no memory grows.

python -m benchmarks.rollouts --rollouts 200 --json
"""

import json
import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import psutil
import typer

from benchmarks.detection import say, whitened_checkpoint
from benchmarks.serving import NAME, PIN, home_in, images_of
from model.errors import GlocalError
from model.home import Home
from model.index import build_release
from model.release import Release
from model.schemas.data_pin import DataPin
from serving import server
from serving.local import local_client
from serving.operations import OPERATIONS
from serving.rollout.endpoint import connect
from serving.rollout.switch import retire, switch_over

CALLERS = 4


def two_releases(folder: Path) -> list[Release]:
    """Two releases of one network that offer every operation; they differ in the revision that they name."""
    checkpoint, pin = whitened_checkpoint(folder), DataPin.model_validate(PIN)
    return [
        build_release(
            folder / "catalogue",
            checkpoint,
            folder / revision,
            pin=pin,
            code_revision=revision,
            detection="always",
            golden_queries=2,
        )
        for revision in ("one", "other")
    ]


class Load:
    """Callers that ask one operation after the other until they are told to stop.

    Attributes:
        answers: Number of answers by operation and release.
        failures: What failed, by the text of the error.
    """

    def __init__(self, home: Home, images: list[bytes]) -> None:
        self._home, self._images = home, images
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CALLERS)
        self.answers: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[str] = Counter()

    def __enter__(self) -> "Load":
        self._running = [self._pool.submit(self._run, number) for number in range(CALLERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def _run(self, number: int) -> None:
        with local_client(self._home.serve) as client:
            while not self._stop.is_set():
                for name, operation in OPERATIONS.items():
                    number += 1
                    images = [self._images[(number + each) % len(self._images)] for each in range(operation.images)]
                    try:
                        self.answers[name, getattr(client, name)(*images).release] += 1
                    except GlocalError as error:
                        self.failures[f"{name}: {type(error).__name__}: {error}"] += 1


def memory_mb(home: Home) -> dict[str, float]:
    """Resident megabytes of the gateway, of Java, and of the workers together."""
    state = server.status(home)

    def resident(*processes: psutil.Process) -> float:
        return float(round(sum(each.memory_info().rss for each in processes) / 2**20, 1))

    java = psutil.Process(state.pid)
    return {
        "gateway": resident(psutil.Process(state.gateway_pid)),
        "java": resident(java),
        "workers": resident(*java.children(recursive=True)),
    }


def roll(home: Home, releases: list[Release], images: list[bytes], rollouts: int) -> dict[str, Any]:
    """Deploy the releases in turn, each as a new version; returns what was answered, what failed, and the memory over time."""
    seconds, memory = [], []
    with connect(home.serve, server.ensure(home)) as endpoint:
        switch_over(endpoint, releases[0], "1", name=NAME, workers=1)
        with Load(home, images) as load:
            for number in range(1, rollouts + 1):
                began = time.monotonic()
                release = releases[number % 2]
                old = switch_over(endpoint, release, str(number + 1), name=NAME, workers=1)
                retire(endpoint, NAME, old)
                seconds.append(time.monotonic() - began)
                if number % max(1, rollouts // 20) == 0:
                    memory.append({"rollouts": number, **memory_mb(home)})
                    say(f"{number} of {rollouts} rollouts, {sum(load.answers.values())} answers, memory {memory[-1]}")
    known = {release.id for release in releases}
    return {
        "rollouts": rollouts,
        "rollout_s": round(sorted(seconds)[len(seconds) // 2], 2),
        "answers": {name: sum(count for (asked, _), count in load.answers.items() if asked == name) for name in OPERATIONS},
        "failures": dict(load.failures),
        "strangers": sum(count for (_, release), count in load.answers.items() if release not in known),
        "memory": memory,
    }


def main(
    rollouts: Annotated[int, typer.Option(min=1, help="Number of rollouts.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Roll two releases out in turn under load."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say("making two releases")
        releases = two_releases(folder)
        images = images_of(folder)
        home = home_in(folder)
        try:
            found = roll(home, releases, images, rollouts)
        finally:
            server.stop(home)
    print(json.dumps(found) if as_json else json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)
