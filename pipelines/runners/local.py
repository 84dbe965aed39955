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
import warnings
from contextlib import AbstractContextManager, suppress
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
from model.scratch import scratch_folder
from model.signals import SIGNALLED, signal_of
from pipelines.runners.group import end_group, end_with
from pipelines.runners.killed_steps import watch_steps
from pipelines.runners.port import Listener, PipelineRun, Work


def run_local(work: Work, listener: Listener) -> PipelineRun:
    """Run a compiled pipeline with `kfp.local`: artifacts and the cache of finished steps lie in the home."""
    with scratch_folder("steps") as temporary:  # KFP removes neither the steps' programs nor its workspaces
        return run_apart("pipelines.runners.local", work, listener, {"TMPDIR": str(temporary)})


def run_apart(module: str, work: Work, listener: Listener, environment: dict[str, str], **more: Any) -> PipelineRun:
    """Run a pipeline with `kfp.local` in a process of its own.

    Args:
        module: What the process runs: it reads its order from standard input and calls `carry_out`.
        work: The run.
        listener: Called with every event.
        environment: Variables of the process, beside those of the run.
        more: What is added to the order.

    Raises:
        Terminated: Somebody cancelled the run: see `pipelines.cancelling`. Its processes have ended.
    """
    done = PipelineRun(work.folder / "run.log")
    order = {
        "pipeline": str(work.pipeline),
        "arguments": work.arguments,
        "home": str(work.environment.home.root),
        "folder": str(work.folder),
    }
    _run(module, done, order | more, work.variables | environment, work.folder, listener)
    return done


def _run(
    module: str, done: PipelineRun, order: dict[str, Any], environment: dict[str, str], folder: Path, listener: Listener
) -> None:
    """Run an order in a process group of its own, and take its events until it ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(folder / ALIVE)],
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


def carry_out(order: dict[str, Any], runner: Any, signals: list[int]) -> None:
    """Run an order; exit 0 when the pipeline succeeded, 1 when a step of it failed.

    A step that a signal killed ends the runner as it ends a shell: with 128 and the number of the signal.

    Args:
        order: The compiled file, its arguments, the home and the folder of the run.
        runner: KFP's runner of single steps.
        signals: The signals that have ended steps; it grows with each of them.
    """
    from kfp import components, local

    from pipelines.runners import step_cache

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    home, folder = Home.at(order["home"]), Path(order["folder"])
    step_cache.install(lambda event: emit(folder, event))
    local.init(
        runner=runner,
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


def main() -> None:
    """Run the order on standard input, each step in a process."""
    end_with(Path(sys.argv[1]))  # before the slow imports
    from kfp import local

    warnings.filterwarnings("ignore", message=".*non-Python base image")  # KFP looks for "python" in the name of an image
    carry_out(json.load(sys.stdin), local.SubprocessRunner(use_venv=False), watch_steps())


if __name__ == "__main__":
    main()
