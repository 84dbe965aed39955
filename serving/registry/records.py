"""Reading of MLflow's runs as the typed records of a run and of a step."""

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from model.schemas.data_pin import DataPin
from model.schemas.run_record import Failure, RunRecord, RunState, StepRecord
from model.schemas.training_gain import TrainingGain

if TYPE_CHECKING:
    from mlflow.entities import Run

PARENT = "mlflow.parentRunId"
USER = "mlflow.user"
COMMIT = "mlflow.source.git.commit"
KIND = "glocal.kind"
DATASET_REVISION = "glocal.revision"
KUBEFLOW_RUN = "kubeflow_run"
"""Tag of a run in Kubeflow: its id there."""
EVENTS, LOGS = "events", "logs"
"""Folders of the files of a run in Kubeflow in which its steps keep their events and logs, for who follows it from elsewhere."""
_NAMED = ("why", "code_revision", "folder", "order", "model", "model_version", "address")
"""Tags that are fields of a pipeline run, by the same names."""
_STATES: dict[str, RunState] = {"FINISHED": "succeeded", "FAILED": "failed", "KILLED": "killed"}


def read_step(run: "Run") -> StepRecord:
    """Read the record of a step."""
    return StepRecord(**_common(run))


def read_run(run: "Run", steps: tuple[StepRecord, ...] = ()) -> RunRecord:
    """Read the record of a pipeline run."""
    tags = run.data.tags
    named = {name: tags.get(name, "") for name in _NAMED}
    return RunRecord(
        **_common(run),
        **named,
        kind=tags.get(KIND, ""),
        user=tags.get(USER, ""),
        git_commit=tags.get(COMMIT, ""),
        data=_data(run),
        training=_training(tags.get("training", "")),
        refused=tuple(line for line in tags.get("refused", "").splitlines() if line),
        steps=steps,
    )


def ending_note(record: RunRecord) -> str:
    """Note on how a run ended, for the run's description in MLflow: a headline and the details."""
    if record.state == "rejected":
        return "**Refused by the gate.** Nothing was registered.\n\n" + "\n".join(f"- {text}" for text in record.refused)
    if record.state == "failed":
        failure = record.failure or Failure(step="", headline="The pipeline stopped.")
        where = f" in the step {failure.step}" if failure.step else ""
        return f"**Failed{where}.** {failure.headline}\n\n{failure.hint}".strip()
    if record.state == "killed":
        return "**Killed.** The run was stopped or ended from outside. The same command resumes."
    if record.state == "awaiting":
        needed = f"glocal approve {record.model_version} --name {record.model} --why REASON"
        return f"**Awaiting approval.** {record.model} {record.model_version} does not serve before operators say so: {needed}"
    served = f"{record.model} {record.model_version}" + (f" at {record.address}" if record.address else "")
    return f"**Succeeded.** {served}".strip()


def _common(run: "Run") -> dict[str, Any]:
    info, tags = run.info, run.data.tags
    state = _STATES.get(info.status, "running")
    return {
        "id": info.run_id,
        "name": info.run_name,
        "state": _ended(tags) if state == "succeeded" and PARENT not in tags else state,
        "started": _time(info.start_time),
        "ended": _time(info.end_time) if info.end_time else None,
        "params": dict(run.data.params),
        "metrics": {key: value for key, value in run.data.metrics.items() if math.isfinite(value)},
        "tags": {key: value for key, value in tags.items() if not key.startswith("mlflow.")},
        "artifacts": info.artifact_uri or "",
        "failure": _failure(info.run_name, tags),
    }


def _ended(tags: dict[str, str]) -> RunState:
    """The state of a pipeline run all of whose steps succeeded."""
    if tags.get("passed") == "False":
        return "rejected"
    return "awaiting" if tags.get("awaiting_approval") == "True" else "succeeded"


def _failure(name: str, tags: dict[str, str]) -> Failure | None:
    if "error" not in tags:
        return None
    step = name if PARENT in tags else tags.get("failed_step", "")
    return Failure(step=step, headline=tags["error"], hint=tags.get("hint", ""))


def _data(run: "Run") -> DataPin | None:
    """The pin that `Runs.log_dataset` recorded; None if another program recorded something else."""
    for used in run.inputs.dataset_inputs if run.inputs else ():
        try:
            source = json.loads(used.dataset.source)
            return DataPin.model_validate({key: value for key, value in source.items() if key != "uri"})
        except (ValueError, AttributeError):
            continue
    return None


def _training(text: str) -> TrainingGain | None:
    try:
        return TrainingGain.model_validate_json(text) if text else None
    except ValidationError:
        return None


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
