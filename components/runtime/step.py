"""A step at work: its log, its record, its events, and the explanation of a failure."""

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from components.runtime.events import emit
from components.runtime.kubeflow_run import KeptEvents, enter_folder, enter_run
from components.runtime.log import log_to
from components.runtime.run_record import NestedRun
from model.claim import claim
from model.disk import system_error
from model.environment import Environment
from model.errors import GlocalError
from model.files import write_json
from model.progress import progress_text
from model.schemas.run_event import EventKind, RunEvent

_PROGRESS_S = 1.0
"""Seconds between two events of progress."""
_MILESTONE_S = 10.0
"""Seconds between two lines of progress in the log."""
_DETAILS = "The log has the details."


@dataclass
class Step:
    """A step at work.

    Attributes:
        name: Name of the step.
        environment: Environment of the process.
        figures: Numbers to record with the step.
        tags: Texts to record with the step.
        record_id: Id of its nested run in MLflow; empty if the run has no record.
        kept: Its events on the record of the run, in a pod of Kubeflow.
    """

    name: str
    environment: Environment
    figures: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    record_id: str = ""
    kept: KeptEvents = field(default_factory=KeptEvents)
    _emitted: float = 0.0
    _logged: float = 0.0

    def emit(self, event: EventKind, **more: Any) -> None:
        """Emit an event of this step."""
        said = RunEvent(step=self.name, event=event, at=time.time(), **more)
        emit(self.environment.run_folder, said)
        self.kept.add(said)

    def progress(self, done: int, total: int, what: str) -> None:
        """Report progress: an event a second at most, a line of the log every ten seconds, and both at the end."""
        now, last = time.monotonic(), done >= total
        text = progress_text(done, total, what)
        if last or now - self._emitted >= _PROGRESS_S:
            self._emitted = now
            self.emit("progress", text=text, done=done, total=total or None)
        if last or now - self._logged >= _MILESTONE_S:
            self._logged = now
            self.log.info("%s", text)

    def warn(self, text: str) -> None:
        """Emit and log a warning."""
        self.emit("warning", text=text)
        self.log.warning("%s", text)

    def publish(self, metrics: Any) -> None:
        """Show the figures as a KFP Metrics artifact, and write its file, without which KFP's local cache drops the step."""
        for name, value in self.figures.items():
            metrics.log_metric(name, value)
        write_json(Path(metrics.path), self.figures)

    def close(self) -> None:
        """Keep what is left of the events, and the log, with the record of the run."""
        folder = self.environment.run_folder
        self.kept.close(self.name, folder / f"{self.name}.log" if folder else None)

    @property
    def log(self) -> logging.Logger:
        """The step's log."""
        return logging.getLogger(self.name)

    def work(self, folder: str = "") -> Path:
        """Folder of reusable work files, named by content hash: the one that all runs share, or a folder of its own in it."""
        return self.environment.home.work / folder


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Do a step's work: log it, record it, emit its events, and explain a failure in one line and a hint."""
    environment = enter_folder()
    current = Step(name, environment)
    failed = environment.run_folder / f"{name}.failed.json" if environment.run_folder else None
    if failed and failed.is_file():  # The failure cannot be mended by a retry
        raise GlocalError(f"{name} has failed in this run already.", _DETAILS)
    log_to(environment, name)
    current.emit("started")
    current.log.info("The step starts.")
    record = None
    try:
        claim(environment.home)
        environment = current.environment = enter_run(environment)
        current.kept.open(environment)
        record = NestedRun(environment, name)
        current.record_id = record.run_id
        yield current
        record.finish(current.figures, current.tags)
    except BaseException as error:
        explained = _explained(error, environment)
        current.log.error("%s", traceback.format_exc())
        current.emit("failed", headline=explained.headline, hint=explained.hint, exit_code=explained.exit_code)
        if failed and isinstance(error, GlocalError) and not error.retry:
            write_json(failed, {"headline": explained.headline, "hint": explained.hint})
        if record:
            record.fail(current.figures, current.tags, explained)
        current.close()
        raise
    _say_end(current)
    current.close()


def _say_end(current: Step) -> None:
    seconds = round(time.time() - psutil.Process().create_time(), 2)
    for name, value in {**current.figures, **current.tags}.items():
        current.log.info("%s: %s", name, value)
    current.log.info("The step ends after %s s.", seconds)
    current.emit("finished", seconds=seconds)


def _explained(error: BaseException, environment: Environment) -> GlocalError:
    if isinstance(error, GlocalError):
        return error
    refused = system_error(error, environment.home.root, _DETAILS)
    return refused or GlocalError(f"{type(error).__name__}: {error}", _DETAILS)
