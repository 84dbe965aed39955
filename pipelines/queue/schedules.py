"""Recurring runs: the schedules of a home."""

from model.environment import Environment
from model.schemas.schedule import Schedule, ScheduleState


def add_schedule(environment: Environment, schedule: Schedule) -> ScheduleState:
    """Check a schedule and keep it. `ensure_worker` lets it order.

    Raises:
        InvalidInput: There is no such source or setting, or the crontab cannot be read.
        Conflict: There is a schedule of this name.
    """
    raise NotImplementedError


def schedules(environment: Environment) -> list[ScheduleState]:
    """All schedules by name, with their last and their next time."""
    raise NotImplementedError


def pause_schedule(environment: Environment, schedule_id: str, *, paused: bool = True) -> ScheduleState:
    """Let a schedule order nothing until this is called with `paused=False`.

    Raises:
        NotFound: There is none.
    """
    raise NotImplementedError


def remove_schedule(environment: Environment, schedule_id: str) -> None:
    """Remove a schedule; its runs stay.

    Raises:
        NotFound: There is none.
    """
    raise NotImplementedError
