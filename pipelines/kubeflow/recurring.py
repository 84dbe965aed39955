"""Runs that Kubeflow's own clock starts: each is a schedule of ours, kept there."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from model.cluster import Kubeflow
from model.config import parse_config
from model.errors import Conflict, NotFound
from model.schemas.schedule import Schedule, Schedules, ScheduleState
from model.scratch import scratch_folder
from pipelines.compiled import compile_pipeline
from pipelines.kubeflow.connection import Connection
from pipelines.kubeflow.runs import experiment
from pipelines.kubeflow.versions import named, upload
from pipelines.queue.schedules import trigger_of
from pipelines.running import check_training, pipeline_arguments

_PAGE = 100
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def add(schedule: Schedule) -> ScheduleState:
    """Let a training recur by Kubeflow's clock, in Coordinated Universal Time, one run at a time and none made up for.

    Each run has a record of its own, which its first step makes.

    Args:
        schedule: The schedule; Kubeflow keeps it as the description of its recurring run.

    Raises:
        InvalidInput: There is no such source or setting, or the crontab cannot be read.
        Conflict: There is a recurring run of this name.
        GlocalError: See `Connection.asking`.
    """
    trigger_of(schedule)
    config = parse_config(schedule.settings)
    source = check_training(schedule.source, schedule.name, config, "kubeflow")
    connection = Connection(Kubeflow())
    settings, experiment_id = connection.settings, experiment(connection)
    if _found(connection, experiment_id, schedule.id):
        raise Conflict(
            f"Kubeflow has a recurring run {schedule.id}.", f"Choose another name, or: glocal schedule remove {schedule.id}"
        )
    with scratch_folder("recurring") as folder:
        version = upload(connection, compile_pipeline(folder / "pipeline.yaml", "training"), "training")
    with connection.asking("to let a run recur"):
        made = connection.client.create_recurring_run(
            experiment_id,
            schedule.id,
            description=schedule.model_dump_json(),
            cron_expression=kubeflow_cron(schedule.crontab),
            max_concurrency=1,
            no_catchup=True,
            params=pipeline_arguments(source, schedule.name, config, schedule.why),
            pipeline_id=version.pipeline_id,
            version_id=version.version_id,
            pipeline_root=settings.kubeflow_pipeline_root or None,
            service_account=settings.kubeflow_service_account or None,
        )
    return _read(made)


def schedules() -> Schedules:
    """The recurring runs of the experiment that are schedules of ours, by name."""
    connection = Connection(Kubeflow())
    found = [state for each in _pages(connection, experiment(connection)) if (state := _readable(each))]
    return Schedules(schedules=tuple(sorted(found, key=lambda state: state.schedule.id)))


def pause(name: str, *, paused: bool = True) -> ScheduleState:
    """Let a recurring run rest, or go on.

    Raises:
        NotFound: There is none.
    """
    connection = Connection(Kubeflow())
    identity = _id(connection, name)
    with connection.asking("to let a recurring run rest or go on"):
        client = connection.client
        (client.disable_recurring_run if paused else client.enable_recurring_run)(identity)
        return _read(client.get_recurring_run(identity))


def remove(name: str) -> ScheduleState:
    """Remove a recurring run; what it ran stays.

    Raises:
        NotFound: There is none.
    """
    connection = Connection(Kubeflow())
    identity = _id(connection, name)
    with connection.asking("to remove a recurring run"):
        last = _read(connection.client.get_recurring_run(identity))
        connection.client.delete_recurring_run(identity)
    return last


def kubeflow_cron(crontab: str) -> str:
    """A crontab of five fields as Kubeflow's of six, which begin with seconds. Weekdays are named: APScheduler's 0 is Monday."""
    *fields, weekdays = crontab.split()
    named_days = re.sub(r"(?<![\w/])[0-6]", lambda found: _WEEKDAYS[int(found[0])], weekdays)
    return " ".join(("0", *fields, named_days))


def _id(connection: Connection, name: str) -> str:
    found = _found(connection, experiment(connection), name)
    if not found:
        raise NotFound(f"Kubeflow has no recurring run {name}.", "glocal schedule list --runner kubeflow shows them.")
    return found


def _found(connection: Connection, experiment_id: str, name: str) -> str:
    with connection.asking("for a recurring run"):
        found = connection.client.list_recurring_runs(experiment_id=experiment_id, filter=named(name)).recurring_runs
    return str(found[0].recurring_run_id) if found else ""


def _pages(connection: Connection, experiment_id: str) -> Iterator[Any]:
    token = ""
    while True:
        with connection.asking("for the recurring runs"):
            page = connection.client.list_recurring_runs(page_token=token, page_size=_PAGE, experiment_id=experiment_id)
        yield from page.recurring_runs or ()
        if not (token := page.next_page_token or ""):
            return


def _readable(made: Any) -> ScheduleState | None:
    """A recurring run as a schedule; None if it is of another's making."""
    with contextlib.suppress(ValidationError):
        return _read(made)
    return None


def _read(made: Any) -> ScheduleState:
    schedule = Schedule.model_validate_json(made.description or "")
    return ScheduleState(
        schedule=schedule.model_copy(update={"paused": str(made.mode) == "DISABLE" or made.status == "DISABLED"})
    )
