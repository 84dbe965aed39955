"""The record of runs: a parent run for each pipeline run, a nested run for each of its steps, in MLflow."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from model.errors import NotFound, Unavailable
from model.locks import hold

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "glocal"
_PARENT = "mlflow.parentRunId"
_STORE_WAIT_S = 120.0
_QUIET = {"mlflow": logging.WARNING, "alembic": logging.WARNING, "sqlalchemy": logging.WARNING, "urllib3": logging.ERROR}


def open_client(tracking_uri: str) -> "MlflowClient":
    """MLflow's client. A fresh SQLite store is made once, whoever comes first.

    Raises:
        Unavailable: The store cannot be opened.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for name, level in _QUIET.items():  # after the import, which sets its own levels
        logging.getLogger(name).setLevel(level)
    file = sqlite_file(tracking_uri)
    try:
        if file is None:
            client = MlflowClient(tracking_uri, tracking_uri)
            client.search_experiments(max_results=1)  # does it answer?
            return client
        lock = file.with_name(file.name + ".lock")
        with hold(lock, wait_s=_STORE_WAIT_S, busy="MLflow's store is being made by another process."):
            client = MlflowClient(tracking_uri, tracking_uri)
            client.search_experiments(max_results=1)  # makes the tables
            client.search_registered_models(max_results=1)
            return client
    except (OSError, MlflowException) as error:
        raise Unavailable(f"MLflow's store at {tracking_uri} cannot be opened.", str(error).splitlines()[0][:200]) from error


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a `sqlite:///` address, else None."""
    return Path(urlsplit(tracking_uri).path[1:]) if tracking_uri.startswith("sqlite:///") else None


def experiment_id(client: "MlflowClient", tracking_uri: str, name: str, artifact_root: Path | None) -> str:
    """The experiment of that name, made with its artifacts below `artifact_root` if it is new.

    Without a root, a SQLite store's artifacts lie beside it in `mlartifacts`, and a server's where it keeps them.
    """
    from mlflow.exceptions import MlflowException

    file = sqlite_file(tracking_uri)
    root = artifact_root or (file.with_name("mlartifacts") if file else None)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=(root.resolve() / name).as_uri() if root else None)
        except MlflowException:  # somebody else made it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


class Runs:
    """The record of runs.

    Args:
        tracking_uri: `sqlite:///...` or an MLflow server.
        artifact_root: Where runs keep files; default as `experiment_id` says.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None, *, experiment: str = EXPERIMENT) -> None:
        self._client = open_client(tracking_uri)
        self._experiment = experiment_id(self._client, tracking_uri, experiment, artifact_root)

    def start_run(self, name: str, params: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None) -> str:
        """Begin a pipeline run; returns its id."""
        return self._start(name, params, dict(tags or {}))

    def start_step(self, parent: str, name: str, params: Mapping[str, Any] | None = None) -> str:
        """Begin a step of a run; returns its id."""
        return self._start(name, params, {_PARENT: parent})

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run as `FINISHED`, `FAILED` or `KILLED`."""
        self._client.set_terminated(run_id, status)

    def log(self, run_id: str, metrics: Mapping[str, float] | None = None, tags: Mapping[str, Any] | None = None) -> None:
        """Add figures and tags."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        figures = [Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()]
        self._client.log_batch(run_id, metrics=figures, tags=[RunTag(name, str(value)) for name, value in (tags or {}).items()])

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Keep a file, or everything below a folder, with the run."""
        if file.is_dir():
            self._client.log_artifacts(run_id, str(file), folder)
        else:
            self._client.log_artifact(run_id, str(file), folder)

    def run(self, run_id: str) -> dict[str, Any]:
        """One run: id, name, status, start and end (ms), params, metrics, tags, artifacts (their address), and its steps.

        Raises:
            NotFound: There is none.
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_run(run_id)
        except MlflowException as error:
            raise NotFound(f"There is no run {run_id}.") from error
        steps = self._client.search_runs(
            [self._experiment], f"tags.`{_PARENT}` = '{found.info.run_id}'", order_by=["attributes.start_time ASC"]
        )
        return {**_describe(found), "steps": [_describe(step) for step in steps]}

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """The latest pipeline runs, newest first, without their steps."""
        found = self._client.search_runs([self._experiment], max_results=10 * limit, order_by=["attributes.start_time DESC"])
        return [_describe(each) for each in found if _PARENT not in each.data.tags][:limit]

    def _start(self, name: str, params: Mapping[str, Any] | None, tags: dict[str, str]) -> str:
        from mlflow.entities import Param

        run_id = str(self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id)
        if params:
            self._client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        return run_id


def _describe(run: Any) -> dict[str, Any]:
    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
        "tags": {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.") or key == _PARENT},
        "artifacts": run.info.artifact_uri,
    }
