"""The process of one job: `python -m pipelines.jobs FOLDER`."""

import contextlib
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.claim import claim
from model.data.importing.findings import Rejected
from model.disk import disk_error
from model.environment import Environment, prepare_process
from model.errors import GlocalError
from model.files import write_json
from model.locks import hold
from model.schemas.run_event import RunEvent
from model.signals import ended_by_signals
from pipelines.actions.action import Caller
from pipelines.jobs.job import ENDED, FILES, LOG, PROGRESS, RECORD, RESULT, WAIT, JobRecord, Steps
from pipelines.jobs.kind import Outcome
from pipelines.jobs.kinds import KINDS
from pipelines.jobs.status import Ended, Step

_EVERY_S, _AGAIN_S = 0.3, 5.0
_LINES, _LONGEST, _LOG_BYTES = 200, 500, 4 * 2**20
"""Warnings and details that are kept, characters of each, and bytes of what it prints."""


def main() -> None:
    """Do the job of a folder, and write how it ended. A signal ends it without an end, which is then said to be killed."""
    folder, environment, code = Path(sys.argv[1]), Environment(), ""
    prepare_process(environment.home)
    told = _Told(folder)
    try:
        with ended_by_signals():
            result, outcome = _done(folder, environment, told)
    except Exception as error:
        result, outcome = None, _failed(error, folder)
        code = error.code if isinstance(error, GlocalError) else GlocalError("").code
    finally:
        shutil.rmtree(folder / FILES, ignore_errors=True)
    lines = tuple(each[:_LONGEST] for each in outcome.details[:_LINES])
    headline = outcome.said[: 4 * _LONGEST]
    ended = Ended(at=datetime.now(UTC), state=outcome.state, headline=headline, hint=outcome.hint, details=lines, error=code)
    _note(told.save)
    if not code:
        _note(lambda: write_json(folder / RESULT, result))
    _note(lambda: ended.save(folder / ENDED))


def _note(save: Callable[[], None]) -> None:
    """Write a file, if need be as soon as the disk has room again: without its end, a job that is done would seem killed."""
    while True:
        try:
            return save()
        except (OSError, GlocalError) as error:
            print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} This cannot be noted: {error}", file=sys.stderr, flush=True)
            time.sleep(_AGAIN_S)


def _done(folder: Path, environment: Environment, told: "_Told") -> tuple[Any, Outcome]:
    """Do the job when it is its turn."""
    claim(environment.home)
    record = JobRecord.load(folder / RECORD)
    kind = KINDS[record.kind]
    with contextlib.suppress(OSError):
        os.nice(kind.group.nice)
    with contextlib.ExitStack() as turn:
        if kind.group.waits:
            waiting = RunEvent(step=WAIT, event="started")
            turn.enter_context(hold(folder.parent / f".{kind.group.name}", waiting=lambda: told(waiting)))
            told(waiting.model_copy(update={"event": "finished"}))
        return kind.do(Caller(environment, record.by, told), record.arguments, folder / FILES)


def _failed(error: Exception, folder: Path) -> Outcome:
    if isinstance(error, Rejected):
        defects = tuple(map(str, error.findings.defects))
        return Outcome(error.headline, "failed", "Mend what is named below, and ask for it again.", defects)
    if isinstance(error, GlocalError):
        return Outcome(error.headline, "failed", error.hint)
    if disk := disk_error(error, folder):
        return Outcome(disk.headline, "failed", disk.hint)
    traceback.print_exception(error)
    return Outcome(f"{type(error).__name__}: {error}", "failed", f"This is a fault of Glocal's; {folder / LOG} has the trace.")


class _Told:
    """Keeps how far a job has come in its folder, a few times a second.

    Args:
        folder: Folder of the job.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock, self._saved = folder, threading.Lock(), 0.0
        self._steps, self._warnings = dict[str, Step](), list[str]()

    def __call__(self, event: RunEvent) -> None:
        """Note an event of a step."""
        with self._lock:
            self._note(event)
            is_small = event.event in {"progress", "warning", "defect"} and not (event.total and event.done == event.total)
            if not is_small or time.monotonic() - self._saved > _EVERY_S:
                with contextlib.suppress(OSError):  # a full disk does not end a job that only tells how far it is
                    self._save()

    def save(self) -> None:
        """Write what is noted."""
        with self._lock:
            self._save()

    def _note(self, event: RunEvent) -> None:
        name, text = event.step, event.text[:_LONGEST]
        match event.event:
            case "warning" | "defect":
                self._warnings = [*self._warnings, text][:_LINES]
            case "progress":
                done, total = event.done or 0, event.total or 0
                self._steps[name] = Step(name=name, state="running", text=text, done=done, total=total)
            case "started":
                self._steps[name] = Step(name=name, state="waiting" if name == WAIT else "running")
            case "finished" if name == WAIT:
                self._steps.pop(WAIT, None)
            case "finished":
                self._steps[name] = Step(name=name, state="succeeded", seconds=event.seconds)
            case "cached":
                self._steps[name] = Step(name=name, state="cached")
            case "failed":
                self._steps[name] = Step(name=name, state="failed", text=event.headline[:_LONGEST])

    def _save(self) -> None:
        self._saved = time.monotonic()
        Steps(steps=tuple(self._steps.values()), warnings=tuple(self._warnings)).save(self._folder / PROGRESS)
        with contextlib.suppress(OSError):
            if (self._folder / LOG).stat().st_size > _LOG_BYTES:
                os.truncate(self._folder / LOG, 0)  # who writes it appends, and goes on at its new end


if __name__ == "__main__":
    main()
