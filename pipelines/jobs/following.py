"""A job is followed to its end: its steps and warnings are told as they come."""

import time
from collections.abc import Callable

from model.schemas.run_event import EventKind, RunEvent
from pipelines.jobs.status import JobStatus, Step

_PAUSE_S = 0.5
_EVENTS: dict[str, EventKind] = {"running": "progress", "succeeded": "finished", "cached": "cached", "failed": "failed"}
"""The event by which the state of a step is told; that it waits is its progress."""


def follow(look: Callable[[], JobStatus], tell: Callable[[RunEvent], None]) -> JobStatus:
    """Look at a job until it has ended; returns how it is then.

    Args:
        look: Returns the job as it is.
        tell: Called with an event for each step that went on, and for each warning.
    """
    told: dict[str, Step] = {}
    warned = 0
    while True:
        status = look()
        for step in status.steps:
            if told.get(step.name) != step:
                tell(_event(step))
                told[step.name] = step
        for text in status.warnings[warned:]:
            tell(RunEvent(step=status.kind, event="warning", text=text))
        warned = len(status.warnings)
        if status.state != "running":
            return status
        time.sleep(_PAUSE_S)


def _event(step: Step) -> RunEvent:
    text = step.text or ("waits for its turn" if step.state == "waiting" else "")
    event = _EVENTS.get(step.state, "progress")
    return RunEvent(step=step.name, event=event, text=text, done=step.done, total=step.total, seconds=step.seconds or 0.0)
