"""A step in a pod of Kubeflow: which run it belongs to, and its events for who follows the run from another machine."""

import contextlib
import os
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from components.runtime.revision import code_revision
from model.claim import claim
from model.environment import Environment
from model.errors import GlocalError
from model.schemas.run_event import RunEvent
from serving.registry.records import EVENTS, KIND, KUBEFLOW_RUN, LOGS, USER

if TYPE_CHECKING:
    from serving.registry.runs import Runs

_USER = "kubeflow"
"""Who acts in a run that nobody started by Glocal."""
_FLUSH_S = 3.0
_LOG_BYTES = 4 * 2**20


def enter_folder() -> Environment:
    """The environment of this process. In a pod it has a folder of the run in the home, which steps share on a volume."""
    environment = Environment()
    if environment.kubeflow_run and not environment.run_folder:
        folder = environment.home.runs / re.sub(r"[^\w-]", "_", environment.kubeflow_run)
        claim(environment.home)  # before anything is made in it: the volume may be new
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["GLOCAL_RUN_FOLDER"] = str(folder)
    return Environment()


def enter_run(environment: Environment) -> Environment:
    """The environment of a step, in a pod with the run's record and who started it.

    `glocal run` makes the record. The first step makes that of a run which Kubeflow's own page or clock started.
    """
    if not environment.kubeflow_run or environment.run_id:
        return environment
    from serving.registry.runs import Runs

    runs = Runs(environment.mlflow_uri)
    record = runs.tagged(KUBEFLOW_RUN, environment.kubeflow_run)
    os.environ["GLOCAL_USER"] = record.user if record else environment.user or _USER
    os.environ["GLOCAL_RUN_ID"] = record.id if record else _start_record(runs, environment)
    return Environment()


def _start_record(runs: "Runs", environment: Environment) -> str:
    kind = re.match(r"glocal-([a-z]+)", environment.kubeflow_workflow)
    tags = {
        KIND: kind[1] if kind else "",
        USER: environment.user or _USER,
        KUBEFLOW_RUN: environment.kubeflow_run,
        "mlflow.source.name": "Kubeflow",
        "code_revision": code_revision(),
        "folder": environment.run_folder or "",
    }
    return runs.start_run(environment.kubeflow_workflow or environment.kubeflow_run, None, tags)


class KeptEvents:
    """The events of a step, kept with the run's record a few seconds after they come. Outside of Kubeflow nothing is kept.

    A thread keeps them, so that a slow server does not slow the step, and a lost one does not end it. Of progress the latest is
    kept.
    """

    def __init__(self) -> None:
        self._events = list[RunEvent]()
        self._file = f"{EVENTS}/{time.time_ns()}.jsonl"  # each attempt has one of its own; they are in the order of the attempts
        self._changed, self._ended, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def open(self, environment: Environment) -> None:
        """Begin to keep them, and those that were added already.

        Args:
            environment: Environment of the step, with the run's record.
        """
        if environment.kubeflow_run and environment.run_id:
            from serving.registry.runs import Runs

            self._run_id, self._runs = environment.run_id, Runs(environment.mlflow_uri)
            self._thread = threading.Thread(target=self._keep, daemon=True)
            self._thread.start()

    def add(self, event: RunEvent) -> None:
        """Add an event."""
        with self._lock:
            if event.event == "progress" and self._events and self._events[-1].event == "progress":
                self._events.pop()
            self._events.append(event)
        self._changed.set()

    def close(self, step: str, log: Path | None) -> None:
        """Keep the last events and the end of the step's log."""
        self._ended.set()
        if not self._thread:
            return
        self._thread.join()
        self._write()
        with contextlib.suppress(GlocalError, OSError):
            if log and log.is_file():
                text = log.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace")
                self._runs.log_text(self._run_id, text, f"{LOGS}/{step}.log")

    def _keep(self) -> None:
        while not self._ended.wait(_FLUSH_S):
            if self._changed.is_set():
                self._write()

    def _write(self) -> None:
        self._changed.clear()
        with self._lock:
            text = b"".join(event.to_line() for event in self._events).decode()
        try:
            self._runs.log_text(self._run_id, text, self._file)
        except GlocalError:
            self._changed.set()  # it is tried again
