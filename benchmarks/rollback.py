"""How long a rollback takes, from the command to the first answer of the version before, while a client asks all the while.

    python -m benchmarks.rollback --json

The command is `glocal rollback`, in a process of its own, against a real registry, endpoint and archive.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import typer

from benchmarks.detection import say
from benchmarks.rollouts import two_releases
from benchmarks.serving import NAME, images_of, summary
from model.claim import claim
from model.errors import GlocalError
from model.home import Home
from model.release import Release
from serving import server
from serving.local import local_client
from serving.promotion import promote
from serving.registry.models import Registry

COMMAND = [sys.executable, "-m", "pipelines.cli", "rollback", "--why", "benchmark", "--yes", "--json"]
_LONGEST_S = 120.0
_PAUSE_S = 0.02
"""Seconds between two requests of the client."""


def roll_back(home: Home, image: bytes, wanted: str) -> tuple[float, int, list[str]]:
    """Roll back once; returns the seconds until the wanted release answered, the number of answers, and what failed."""
    answers, failures = 0, list[str]()
    environment = os.environ | {"GLOCAL_HOME": str(home.root)}
    with local_client(home.serve) as client:
        began, arrived = time.perf_counter(), None
        with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as command:
            while command.poll() is None or arrived is None:
                try:
                    answer = client.search(image, 1, model=NAME)
                    answers += 1
                    if arrived is None and answer.release == wanted:
                        arrived = time.perf_counter() - began
                except GlocalError as error:
                    failures.append(str(error))
                time.sleep(_PAUSE_S)
                if time.perf_counter() - began > _LONGEST_S or (command.poll() or 0) != 0:
                    raise SystemExit(f"The rollback failed: {command.stdout.read() if command.stdout else ''}")
    return arrived, answers, failures


def measure(home: Home, releases: list[Release], image: bytes, rounds: int) -> dict[str, Any]:
    """Promote both releases, then roll back and forth."""
    registry = Registry(home.tracking_uri, NAME)
    for release in releases:
        version = registry.register(release, {"map_at_r": 0.5})
        promote(version, home=home, tracking_uri=home.tracking_uri, name=NAME, why="benchmark", release=release)
    seconds, answers, failed = list[float](), 0, list[str]()
    for number in range(rounds):
        say(f"rollback {number + 1} of {rounds}")
        taken, answered, failures = roll_back(home, image, releases[number % 2].id)
        seconds.append(taken)
        answers += answered
        failed += failures
    return {"seconds": summary(seconds), "rollbacks": rounds, "answers": answers, "failed": failed}


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rollbacks.")] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")] = False,
) -> None:
    """Roll back and forth between two versions."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say("making two releases")
        releases, home = two_releases(folder), claim(Home.at(folder / "home"))
        try:
            found = measure(home, releases, images_of(folder)[0], rounds)
        finally:
            server.stop(home)
    print(json.dumps(found) if as_json else json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)
