"""The pipeline on one machine: KFP's own local runner, in a separate process.

    glocal run  ->  python -m pipelines.runners.local  ->  one process a step

KFP's local runner prints, patches `print` and `logging`, and keeps its state in the process, so it runs in a process that
leads a process group. Its output goes to the run's log; events come through a separate file (`components.runtime.events`).
The group ends with the process that started it: `pipelines.runners.group`.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any

from components.runtime.events import emit, follow
from components.runtime.revision import code_revision
from model.errors import Terminated
from model.home import ALIVE, CANCELLED, Home
from model.locks import hold, is_held
from model.redaction import redacted
from model.schemas.document import read_schema
from model.schemas.order import Cancelled
from model.schemas.run_event import RunEvent
from model.schemas.run_result import StepResult
from model.scratch import scratch_folder
from pipelines.runners.group import end_group, end_with
from pipelines.runners.killed_steps import watch_steps
from pipelines.signals import SIGNALLED, signal_of

"""File in a run's folder that is locked as long as the process that started the run lives."""
Listener = Callable[[RunEvent], None]
"""Called with every event of a run."""


@dataclass
class LocalRun:
    """A run of the pipeline on this machine.

    Attributes:
        log: File with the output of the run.
        succeeded: Whether all steps that were due succeeded.
        steps: The finished steps in order.
        failure: The event of the first failed step, or None.
        defects: One line for each defect of the data.
        under_way: Name of the step that started last and did not end; empty if there is none.
        killed_by: Number of the signal that killed the runner or one of its steps; 0 if none did.
    """

    log: Path
    succeeded: bool = False
    steps: list[StepResult] = field(default_factory=list)
    failure: RunEvent | None = None
    defects: list[str] = field(default_factory=list)
    under_way: str = ""
    killed_by: int = 0

    def take(self, event: RunEvent) -> None:
        """Add an event to the run."""
        if event.event == "started" and not self.under_way:  # the step `record` follows one that was killed
            self.under_way = event.step
        if event.event in {"finished", "failed"} and event.step == self.under_way:
            self.under_way = ""
        if event.event in {"finished", "cached"}:
            self.steps.append(StepResult(name=event.step, seconds=event.seconds, cached=event.event == "cached"))
        if event.event == "defect":
            self.defects.append(event.text)
        if event.event == "failed" and self.failure is None:
            self.failure = event


def run_local(
    pipeline: Path,
    arguments: dict[str, Any],
    *,
    home: Home,
    folder: Path,
    listener: Listener,
    environment: dict[str, str],
) -> LocalRun:
    """Run a compiled pipeline with `kfp.local`.

    Args:
        pipeline: The compiled file.
        arguments: The pipeline's parameters.
        home: GLOCAL_HOME; artifacts and the cache of finished steps lie in it.
        folder: Folder of this run: logs and events. Its lock (see `alive`) is held by the caller.
        listener: Called with every event as it comes.
        environment: `GLOCAL_*` variables for the steps.

    Raises:
        Terminated: Somebody cancelled the run: see `pipelines.cancelling`. Its processes have ended.
    """
    done = LocalRun(folder / "run.log")
    order = {"pipeline": str(pipeline), "arguments": arguments, "home": str(home.root), "folder": str(folder)}
    with scratch_folder("steps") as temporary:  # KFP removes neither the steps' programs nor its workspaces
        _run(done, order, environment | {"TMPDIR": str(temporary)}, folder, listener)
    return done


def _run(done: LocalRun, order: dict[str, Any], environment: dict[str, str], folder: Path, listener: Listener) -> None:
    """Run an order in a process group of its own, and take its events until it ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.runners.local", str(folder / ALIVE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | environment,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # both are pipes
        logging_thread = Thread(target=_keep, args=(process.stdout, done.log), daemon=True)
        logging_thread.start()
        with suppress(BrokenPipeError):  # the runner was killed before it read
            process.stdin.write(json.dumps(order))
            process.stdin.close()
        for event in follow(folder, lambda: process.poll() is not None or (folder / CANCELLED).exists()):
            done.take(event)
            listener(event)
        if process.poll() is None:
            cancelled = read_schema(Cancelled, folder / CANCELLED, "Remove it.")
            hint = "What is finished is kept, and the same command goes on from there."
            raise Terminated(f"{cancelled.by} cancelled this run.", hint)
        code = process.wait()
        done.succeeded, done.killed_by = code == 0, signal_of(code)
        logging_thread.join()
    finally:
        end_group(process)


def alive(folder: Path) -> AbstractContextManager[None]:
    """Hold a lock in a run's folder. When this process ends, the lock becomes free and the run's processes end."""
    return hold(folder / ALIVE)


def is_alive(folder: Path) -> bool:
    """Whether the process that started the run in `folder` still lives."""
    return is_held(folder / ALIVE)


def _keep(lines: IO[str], file: Path) -> None:
    """Write the output of a process to a log, without passwords."""
    with file.open("w", encoding="utf-8") as log:
        for line in lines:
            log.write(redacted(line))
            log.flush()


def main() -> None:
    """Run the order on standard input; exit 0 when the pipeline succeeded, 1 when a step of it failed.

    A step that a signal killed ends the runner as it ends a shell: with 128 and the number of the signal.
    """
    end_with(Path(sys.argv[1]))  # before the slow imports
    from kfp import components, local

    from pipelines.runners import step_cache

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    order = json.load(sys.stdin)
    home, folder = Home.at(order["home"]), Path(order["folder"])
    step_cache.install(lambda event: emit(folder, event))
    signals = watch_steps()
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(home.artifacts),
        enable_caching=True,
        cache_root=str(home.step_cache / code_revision()),
    )
    pipeline = components.load_component_from_file(order["pipeline"])
    try:
        pipeline(**order["arguments"])
    except RuntimeError as error:  # KFP's error for a failed step
        print(error, file=sys.stderr)
        sys.exit(SIGNALLED + signals[0] if signals else 1)


if __name__ == "__main__":
    main()
