"""The process of one errand: `python -m pipelines.errands FOLDER`."""

import shutil
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from model.data.importing.findings import Rejected
from model.environment import Environment
from model.errors import GlocalError
from model.locks import hold
from model.progress import progress_text
from model.schemas.run_event import RunEvent
from pipelines.errands.state import END, EVENTS, RECORD, WAIT, Ended, Errand

Listener = Callable[[RunEvent], None]
_NAMED = 20
"""Defects that are named."""


def main() -> None:
    """Do the errand of a folder."""
    folder = Path(sys.argv[1])
    with (folder / EVENTS).open("ab", buffering=0) as events:

        def listener(event: RunEvent) -> None:
            events.write((event if event.at else event.model_copy(update={"at": time.time()})).to_line())

        ended = _done(folder, listener)
    shutil.rmtree(folder / "images", ignore_errors=True)
    ended.save(folder / END)


def _done(folder: Path, listener: Listener) -> Ended:
    """Do the errand when no other one is at work; its errors are its end."""
    try:
        errand = Errand.load(folder / RECORD)
        waiting = RunEvent(step=WAIT, event="started")
        with hold(folder.parent / ".lock", waiting=lambda: listener(waiting)):
            listener(waiting.model_copy(update={"event": "finished"}))
            return _WORK[errand.kind](errand, folder, Environment(), listener)
    except GlocalError as error:
        defects = [str(each) for each in error.findings.defects[:_NAMED]] if isinstance(error, Rejected) else []
        return Ended(at=datetime.now(UTC), state="failed", reasons=(error.headline, *defects), hint=error.hint)
    except Exception as error:
        traceback.print_exc()
        headline = f"{type(error).__name__}: {error}"
        return Ended(at=datetime.now(UTC), state="failed", reasons=(headline,), hint=f"See {folder / 'log'}.")


def _enrol(errand: Errand, folder: Path, environment: Environment, listener: Listener) -> Ended:
    """Add images to the gallery of a served model, as `glocal gallery add` does."""
    from model.config import load_config
    from pipelines.galleries import run_enrolment
    from serving.galleries import choose_base

    result = run_enrolment(
        str(folder / "images"),
        choose_base(environment.mlflow_uri, errand.arguments["model"]),
        load_config(None, ()),
        replace=False,
        name=errand.arguments["data"],
        environment=environment,
        listener=listener,
        why=errand.arguments["why"],
    )
    reasons = (result.error.headline, *result.error.defects) if result.error else result.refused or ()
    change = result.gallery
    made = {
        "run": result.run_id,
        "model": result.model or errand.arguments["model"],
        "version": result.model_version,
        "added": sum(change.added.values()) if change else 0,
        "copies": len(change.copies) if change else 0,
    }
    return Ended(
        at=datetime.now(UTC), state=result.status, reasons=reasons, hint=result.error.hint if result.error else "", made=made
    )


def _revise(errand: Errand, folder: Path, environment: Environment, listener: Listener) -> Ended:
    """Import the newest version of a data set with corrected images as its next version."""
    from serving.corrections import accept_corrections

    step, begun = "revision", time.monotonic()

    def progress(done: int, total: int, what: str) -> None:
        listener(RunEvent(step=step, event="progress", text=progress_text(done, total, what), done=done, total=total))

    listener(RunEvent(step=step, event="started"))
    report = accept_corrections(
        environment.home, errand.arguments["corrections"], remote=environment.data_remote or None, progress=progress
    )
    listener(RunEvent(step=step, event="finished", seconds=time.monotonic() - begun))
    for text in report.messages:
        listener(RunEvent(step=step, event="warning", text=text))
    return Ended(
        at=datetime.now(UTC),
        state="succeeded",
        made={"data": report.pin.path, "rev": report.pin.rev, "images": report.pin.images},
    )


_WORK = {"enrol": _enrol, "revise": _revise}

if __name__ == "__main__":
    main()
