"""Recurring runs: whose clock starts them. Kubeflow starts those that it executes, the queue's worker all others."""

from dataclasses import dataclass
from typing import Protocol

from model.environment import Environment
from model.schemas.schedule import Schedule, Schedules, ScheduleState
from pipelines.queue import schedules as stored
from pipelines.queue.worker import ensure_worker


class Clock(Protocol):
    """What keeps schedules and starts their runs. Each method raises a `GlocalError` where Kubeflow does not answer."""

    def schedules(self) -> Schedules:
        """All of them."""

    def add(self, schedule: Schedule) -> ScheduleState:
        """Check a schedule, keep it, and see that somebody starts its runs.

        Raises:
            InvalidInput: There is no such source or setting, or the crontab cannot be read.
            Conflict: There is one of this name.
        """

    def pause(self, name: str, *, paused: bool = True) -> ScheduleState:
        """Let one start nothing until this is called with `paused=False`.

        Raises:
            NotFound: There is none.
        """

    def remove(self, name: str) -> ScheduleState:
        """Remove one; what it ran stays. Returns what it was.

        Raises:
            NotFound: There is none.
        """


@dataclass(frozen=True)
class WorkerClock:
    """The clock of the queue's worker.

    Attributes:
        environment: The home.
    """

    environment: Environment

    def schedules(self) -> Schedules:
        """As `Clock`."""
        return stored.schedules(self.environment)

    def add(self, schedule: Schedule) -> ScheduleState:
        """As `Clock`."""
        kept = stored.add_schedule(self.environment, schedule)
        ensure_worker(self.environment)
        return kept

    def pause(self, name: str, *, paused: bool = True) -> ScheduleState:
        """As `Clock`."""
        kept = stored.pause_schedule(self.environment, name, paused=paused)
        if not paused:
            ensure_worker(self.environment)
        return kept

    def remove(self, name: str) -> ScheduleState:
        """As `Clock`."""
        return stored.remove_schedule(self.environment, name)


def clock_of(environment: Environment) -> Clock:
    """The clock by which the runner of an environment recurs."""
    if environment.runner == "kubeflow":
        from pipelines.kubeflow import recurring

        return recurring
    return WorkerClock(environment)
