"""The pipeline on one machine: KFP's own local runner, in a process of its own, its output read as it comes.

    glocal run  ->  python -m pipelines.runners.local  ->  one process a step

KFP's local runner prints, patches `print` and `logging`, and keeps its state in the process: so it gets one to itself. What it
prints goes to the run's log; the events among it (see `components.runtime.step`) and its word on cached steps are handed on.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.runtime.step import EVENT, code_revision, emit
from model.home import Home
from model.locks import hold, is_held
from model.redaction import redacted

CACHE_HIT = " cache hit (key="
ALIVE = "alive"
"""The file in a run's folder that is locked while the run lives."""
Listener = Callable[[dict[str, Any]], None]
"""Told of every event: `step`, `event` (started, progress, finished, failed, cached) and what belongs to it."""


@dataclass
class Outcome:
    """How a local run ended.

    Attributes:
        succeeded: Whether every step that was due did its work.
        steps: Each step in its order: `name`, `seconds`, `cached`.
        failure: The event of the first failed step, or None.
        log: All that was printed.
    """

    succeeded: bool
    log: Path
    steps: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Note an event."""
        if event["event"] in {"finished", "cached"}:
            self.steps.append({"name": event["step"], "seconds": event.get("seconds", 0.0), "cached": event["event"] == "cached"})
        if event["event"] == "failed" and self.failure is None:
            self.failure = event


def run_local(
    pipeline: Path,
    arguments: dict[str, Any],
    *,
    home: Home,
    folder: Path,
    listener: Listener,
    environment: dict[str, str],
) -> Outcome:
    """Run a compiled pipeline with `kfp.local`.

    Args:
        pipeline: The compiled file.
        arguments: The pipeline's parameters.
        home: GLOCAL_HOME; artifacts and the cache of finished steps lie in it.
        folder: Of this run: logs.
        listener: Told of every event as it happens.
        environment: `GLOCAL_*` variables for the steps.
    """
    outcome = Outcome(False, folder / "run.log")
    order = {"pipeline": str(pipeline), "arguments": arguments, "home": str(home.root)}
    command = [sys.executable, "-m", "pipelines.runners.local"]
    with outcome.log.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | environment,
        )
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # both are pipes
            process.stdin.write(json.dumps(order))
            process.stdin.close()
            for event in _events(process.stdout, log):
                outcome.take(event)
                listener(event)
            outcome.succeeded = process.wait() == 0
        finally:
            process.kill()
            process.wait()
    return outcome


def alive(folder: Path) -> AbstractContextManager[None]:
    """Hold a lock in a run's folder that comes free when this process ends, however it ends: the steps of the run end then."""
    return hold(folder / ALIVE)


def is_alive(folder: Path) -> bool:
    """Whether whoever started the run in `folder` still lives."""
    return is_held(folder / ALIVE)


def _events(lines: Any, log: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        at = line.find(EVENT)
        if at >= 0:
            yield json.loads(line[at + len(EVENT) :])
            continue
        log.write(redacted(line))
        log.flush()
        if CACHE_HIT in line:
            yield {"step": line.split("Task ", 1)[1].split(CACHE_HIT)[0].strip(), "event": "cached"}


def main() -> None:
    """Run the order on standard input; exit 0 when the pipeline succeeded, 1 when a step of it failed."""
    from kfp import components, local

    from pipelines.runners import step_cache

    logging.basicConfig(level=logging.INFO, format="%(message)s")  # KFP says at this level what it takes from its cache
    order = json.load(sys.stdin)
    home = Home.at(order["home"])
    step_cache.install(lambda step, text: emit(step=step, event="warning", text=text))
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(home.artifacts),
        enable_caching=True,
        cache_root=str(home.step_cache / code_revision()),
    )
    pipeline = components.load_component_from_file(order["pipeline"])
    try:
        pipeline(**order["arguments"])
    except RuntimeError as error:  # what KFP raises for a failed step
        sys.exit(str(error))


if __name__ == "__main__":
    main()
