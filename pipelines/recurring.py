"""Recurring runs: those that Kubeflow executes by its own clock, all others by that of the queue's worker.

Which of the two is meant says the runner of the environment.
"""

from model.environment import Environment
from model.schemas.schedule import Schedule, ScheduleState
from pipelines.queue import schedules as own
from pipelines.queue.worker import ensure_worker


def schedules(environment: Environment) -> list[ScheduleState]:
    """All of them by name.

    Raises:
        GlocalError: Kubeflow does not answer; see `Connection.asking`.
    """
    if environment.runner == "kubeflow":
        from pipelines.kubeflow import recurring

        return recurring.schedules()
    return own.schedules(environment)


def add_schedule(environment: Environment, schedule: Schedule) -> ScheduleState:
    """Check a schedule, keep it, and see that somebody orders its runs.

    Raises:
        InvalidInput: There is no such source or setting, or the crontab cannot be read.
        Conflict: There is one of this name.
        GlocalError: Kubeflow does not answer.
    """
    environment = environment.run_by(schedule.runner)
    if environment.runner == "kubeflow":
        from pipelines.kubeflow import recurring

        return recurring.add(schedule)
    kept = own.add_schedule(environment, schedule)
    ensure_worker(environment)
    return kept


def pause_schedule(environment: Environment, name: str, *, paused: bool = True) -> ScheduleState:
    """Let one order nothing until this is called with `paused=False`.

    Raises:
        NotFound: There is none.
        GlocalError: Kubeflow does not answer.
    """
    if environment.runner == "kubeflow":
        from pipelines.kubeflow import recurring

        return recurring.pause(name, paused=paused)
    kept = own.pause_schedule(environment, name, paused=paused)
    if not paused:
        ensure_worker(environment)
    return kept


def remove_schedule(environment: Environment, name: str) -> ScheduleState:
    """Remove one; what it ran stays. Returns what it was.

    Raises:
        NotFound: There is none.
        GlocalError: Kubeflow does not answer.
    """
    if environment.runner == "kubeflow":
        from pipelines.kubeflow import recurring

        return recurring.remove(name)
    last = own.schedule_state(environment, name)
    own.remove_schedule(environment, name)
    return last
