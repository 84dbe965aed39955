"""Runs in Kubeflow: submitted once, looked at, and ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from model.errors import NotFound, Unavailable
from model.text import excerpt, one_line
from pipelines.kubeflow.connection import Connection
from pipelines.kubeflow.versions import PipelineVersion, named

TaskState = Literal["waiting", "running", "succeeded", "failed", "skipped", "cancelled"]
"""State of a run or of a task: `skipped` is what was not due."""
_STATES: dict[str, TaskState] = {
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "SKIPPED": "skipped",
    "CANCELING": "running",
    "CANCELED": "cancelled",
    "PAUSED": "running",
}
ENDED: frozenset[TaskState] = frozenset({"succeeded", "failed", "skipped", "cancelled"})


@dataclass(frozen=True)
class KubeflowTask:
    """A task of a run, as Kubeflow sees its pods.

    Attributes:
        name: Its name, which is that of its step.
        state: Its state.
        began: Time of its begin; None before it.
        ended: Time of its end; None before it.
        error: What Kubeflow says of a failure; may be empty.
    """

    name: str
    state: TaskState
    began: datetime | None
    ended: datetime | None
    error: str


@dataclass(frozen=True)
class KubeflowRun:
    """A run as it is now.

    Attributes:
        id: Its id.
        state: Its state.
        error: What Kubeflow says of a failure; may be empty.
        tasks: Its tasks, of which each may stand there several times.
    """

    id: str
    state: TaskState
    error: str
    tasks: tuple[KubeflowTask, ...]


def experiment(connection: Connection) -> str:
    """Id of the experiment of the runs, which is made if need be."""
    with connection.asking("for the experiment"):
        name = connection.settings.kubeflow_experiment
        return str(connection.client.create_experiment(name, namespace=connection.namespace).experiment_id)


def submit(connection: Connection, version: PipelineVersion, arguments: Mapping[str, Any], title: str) -> str:
    """Start a run; returns its id. If the answer is lost, the run that was started is found by its title.

    Args:
        connection: The connection.
        version: What to run.
        arguments: The pipeline's parameters.
        title: Name of the run, which no other run has.

    Raises:
        GlocalError: See `Connection.asking`.
    """
    settings, experiment_id = connection.settings, experiment(connection)
    try:
        with connection.asking("to start a run"):
            started = connection.client.run_pipeline(
                experiment_id,
                title,
                params=dict(arguments),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                pipeline_root=settings.kubeflow_pipeline_root or None,
                service_account=settings.kubeflow_service_account or None,
            )
        return str(started.run_id)
    except Unavailable:
        with connection.asking("for a run"):
            found = connection.client.list_runs(experiment_id=experiment_id, filter=named(title)).runs
        if not found:
            raise
        return str(found[0].run_id)


def look(connection: Connection, run_id: str) -> KubeflowRun:
    """A run as it is now.

    Raises:
        NotFound: There is none; it may have been deleted.
        GlocalError: See `Connection.asking`.
    """
    with connection.asking("for a run"):
        run = connection.client.get_run(run_id)
    if run is None or not run.run_id:
        raise NotFound(f"Kubeflow has no run {run_id}.")
    details = run.run_details.task_details if run.run_details else None
    return KubeflowRun(str(run.run_id), _state(run.state), _message(run.error), tuple(map(_task, details or ())))


def terminate(connection: Connection, run_id: str) -> None:
    """Let Kubeflow end a run and its pods.

    Raises:
        GlocalError: See `Connection.asking`.
    """
    with connection.asking("to end a run"):
        connection.client.terminate_run(run_id)


def _task(task: Any) -> KubeflowTask:
    return KubeflowTask(
        str(task.display_name or ""), _state(task.state), _moment(task.start_time), _moment(task.end_time), _message(task.error)
    )


def _state(state: Any) -> TaskState:
    return _STATES.get(str(state or "").upper(), "waiting")


def _moment(time: datetime | None) -> datetime | None:
    """A time; None also for the year 1 or 1970, by which Kubeflow says that there is none."""
    return time if time is not None and time.year > 1970 else None


def _message(error: Any) -> str:
    return excerpt(one_line(str(error.message))) if error is not None and error.message else ""
