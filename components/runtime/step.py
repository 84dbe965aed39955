"""What surrounds every step: its log, its record in MLflow, its progress, and an end when the run that wants it is gone."""

import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from model.claim import claim
from model.disk import disk_error
from model.environment import Environment
from model.errors import GlocalError
from model.files import atomic_folder, sha256_sources, write_json
from model.locks import wait_for
from model.redaction import RedactingFormatter

EVENT = "@glocal "
"""Before every event that a step prints for whoever started it, as one line of JSON."""
_PACKAGES = ("model", "serving", "components")
_PROGRESS_SECONDS = 1.0


@dataclass
class Step:
    """A step at work.

    Attributes:
        name: Of the step.
        environment: Where things lie.
        figures: Numbers to record with it.
        tags: Texts to record with it.
        record_id: Of its nested run in MLflow; empty where the run has no record.
    """

    name: str
    environment: Environment
    figures: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    record_id: str = ""
    _told: float = 0.0

    def progress(self, done: int, total: int, what: str) -> None:
        """Say how far it is; at most once a second, and at the end."""
        now = time.monotonic()
        if now - self._told >= _PROGRESS_SECONDS or done >= total:
            self._told = now
            emit(step=self.name, event="progress", text=f"{done} of {total} {what}" if total else what)

    def publish(self, metrics: Any) -> None:
        """Show the figures as a KFP Metrics artifact; as a file as well, without which KFP's local cache takes it for lost."""
        for name, value in self.figures.items():
            metrics.log_metric(name, value)
        write_json(Path(metrics.path), self.figures)

    @property
    def work(self) -> Path:
        """Where what this step may resume from or share lies, by content."""
        return self.environment.home.work


def emit(**event: Any) -> None:
    """Print an event."""
    print(EVENT + json.dumps(event), flush=True)


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Do a step's work: log it, record it, say when it begins and ends, and explain a failure in one line and a hint."""
    environment = Environment()
    current = Step(name, environment)
    failed = environment.run_folder / f"{name}.failed.json" if environment.run_folder else None
    if failed and failed.is_file():  # a retry of what cannot succeed by being tried again
        raise GlocalError(f"{name} has failed in this run already.")
    _end_with_the_run(environment)
    _log_to(environment, name)
    emit(step=name, event="started")
    record = None
    try:
        claim(environment.home)
        record = _Record.open(environment, name)
        current.record_id = record.run_id
        yield current
        record.finish(current)
    except BaseException as error:
        explained = _explained(error, environment)
        logging.getLogger(name).error("%s", traceback.format_exc())
        emit(step=name, event="failed", headline=explained.headline, hint=explained.hint, exit_code=explained.exit_code)
        if failed and isinstance(error, GlocalError) and not error.retry:
            write_json(failed, {"headline": explained.headline, "hint": explained.hint})
        if record:
            record.fail(current, explained)
        raise
    emit(step=name, event="finished", seconds=round(time.time() - psutil.Process().create_time(), 2))


def _explained(error: BaseException, environment: Environment) -> GlocalError:
    if isinstance(error, GlocalError):
        return error
    if disk := disk_error(error, environment.home.root, Path(tempfile.gettempdir())):
        return disk
    if isinstance(error, OSError) and error.strerror:
        return GlocalError(f"{error.strerror}: {error.filename or 'a file'}", "The log has the details.")
    return GlocalError(f"{type(error).__name__}: {error}", "The log has the details.")


@cache
def code_revision() -> str:
    """The package's version and a hash of its source: what ran, be it a checkout or an image.

    Taken once a run and handed to its steps, so that an edit in between cannot give one run two revisions.
    """
    if given := Environment().code_revision:
        return given
    root = Path(__file__).parents[2]
    found = (file for package in _PACKAGES for file in sorted((root / package).rglob("*")))
    files = (file for file in found if file.is_file() and "__pycache__" not in file.parts)
    return f"{version('glocal')}+{sha256_sources(root, files)[:12]}"


def run_evidence(
    environment: Environment, figures: Mapping[str, float], tags: Mapping[str, str], files: Mapping[str, Path]
) -> None:
    """Put what was found out on the record of the whole run, where there is one, and the files into its folder."""
    for name, source in files.items():
        if environment.run_folder:
            with atomic_folder(environment.run_folder / name) as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
    if environment.run_id:
        from serving.registry.runs import Runs

        runs = Runs(environment.mlflow_uri)
        runs.log(environment.run_id, figures, tags)
        for name, source in files.items():
            runs.log_file(environment.run_id, source, name)


def close_run(current: Step, state: str, message: str) -> None:
    """End the record of the whole run as KFP says it ended."""
    if current.environment.run_id:
        from serving.registry.runs import Runs

        runs = Runs(current.environment.mlflow_uri)
        runs.close(current.environment.run_id, succeeded=state == "SUCCEEDED", headline=message)


class _Record:
    """This step's nested run in MLflow; nothing where the run has no record."""

    def __init__(self, runs: Any, run_id: str) -> None:
        self.runs, self.run_id = runs, run_id

    @classmethod
    def open(cls, environment: Environment, name: str) -> "_Record":
        if not environment.run_id:
            return cls(None, "")
        from serving.registry.runs import Runs

        runs = Runs(environment.mlflow_uri)
        return cls(runs, runs.start_step(environment.run_id, name))

    def finish(self, done: Step) -> None:
        if self.runs:
            self._log(done)
            self.runs.finish(self.run_id)

    def fail(self, done: Step, error: GlocalError) -> None:
        if self.runs:
            self._log(done)
            self.runs.fail(self.run_id, error.headline, error.hint)

    def _log(self, done: Step) -> None:
        folder = done.environment.run_folder
        log = {"log": str(folder / f"{done.name}.log")} if folder else {}
        self.runs.log(self.run_id, done.figures, {**done.tags, **log})


def _log_to(environment: Environment, name: str) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if environment.run_folder:
        environment.run_folder.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(environment.run_folder / f"{name}.log"))
    for handler in handlers:
        handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=environment.log_level, handlers=handlers, force=True)


def _end_with_the_run(environment: Environment) -> None:
    """Whoever started the run holds `alive` locked as long as it lives. When the lock comes free, this process ends."""
    alive = environment.run_folder / "alive" if environment.run_folder else None
    if alive is None or not alive.is_file():
        return

    def watch() -> None:
        wait_for(alive)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()
