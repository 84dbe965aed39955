"""The records in MLflow: the nested run of a step, and the evidence of the whole run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.config import parse_config, setting_texts
from model.data.importing.dataset_name import default_name
from model.environment import Environment
from model.errors import GlocalError
from model.files import atomic_folder
from model.schemas.data_pin import DataPin
from model.schemas.run_record import RunRecord
from model.schemas.train_report import TrainReport

if TYPE_CHECKING:
    from serving.registry.runs import Runs

_SUCCEEDED, _FAILED = {"SUCCEEDED", "COMPLETE", "CACHED"}, {"FAILED", "CANCELED", "CANCELLED"}


class NestedRun:
    """The run of one step in MLflow, nested in the run of the pipeline. If that has no record, nothing is recorded."""

    def __init__(self, environment: Environment, name: str) -> None:
        self.run_id, self._runs, self._tags = "", None, {}
        if environment.run_folder:
            self._tags = {"log": str(environment.run_folder / f"{name}.log")}
        if environment.run_id:
            self._runs = _runs(environment)
            self.run_id = self._runs.start_step(environment.run_id, name)

    def finish(self, figures: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Record figures and tags, and end the run."""
        if self._runs:
            self._runs.log(self.run_id, figures, {**tags, **self._tags})
            self._runs.finish(self.run_id)

    def fail(self, figures: Mapping[str, float], tags: Mapping[str, str], error: GlocalError) -> None:
        """Record figures and tags, and end the run with its error."""
        if self._runs:
            self._runs.log(self.run_id, figures, {**tags, **self._tags})
            self._runs.fail(self.run_id, error.headline, error.hint)


def run_evidence(
    environment: Environment, figures: Mapping[str, float], tags: Mapping[str, str], files: Mapping[str, Path]
) -> None:
    """Put figures and tags on the record of the whole run, if it has one, and copy files into its folder."""
    for name, source in files.items():
        if environment.run_folder:
            with atomic_folder(environment.run_folder / name) as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
    if environment.run_id:
        runs = _runs(environment)
        runs.log(environment.run_id, figures, tags)
        for name, source in files.items():
            runs.log_file(environment.run_id, source, name)


def record_training(environment: Environment, report: TrainReport, step_run: str = "") -> None:
    """Record the curves of a training, and its gain over the init.

    The step `train` does this, and so does `gate` from the report: the run may have taken its training from the cache.

    Args:
        environment: Environment that names the run.
        report: The training report.
        step_run: Id of the nested run of the step that trained; empty for another step.
    """
    if environment.run_id:
        runs = _runs(environment)
        for run_id in filter(None, (environment.run_id, step_run)):
            runs.log_training(run_id, report)


def record_data(environment: Environment, pin: DataPin, step_run: str) -> None:
    """Record the data of a run, and of the step that pinned it, as MLflow's dataset.

    Args:
        environment: Environment that names the run.
        pin: The data.
        step_run: Id of the nested run of the step.
    """
    if environment.run_id:
        runs = _runs(environment)
        for run_id in (environment.run_id, step_run):
            runs.log_dataset(run_id, pin)


def recorded_run(environment: Environment) -> RunRecord | None:
    """The record of the run that this process belongs to; None if it has none."""
    return _runs(environment).run(environment.run_id) if environment.run_id else None


def record_settings(environment: Environment, source: str, name: str, sections: Mapping[str, Any]) -> None:
    """Record the settings of a training that are not on record yet.

    Args:
        environment: Environment that names the run.
        source: The source of the data; empty: this is no training.
        name: Name of the data set; empty: after the source.
        sections: The sections of the configuration.
    """
    if environment.run_id and source:
        given = {"source": source, "name": name or default_name(source)}
        _runs(environment).add_params(environment.run_id, given | setting_texts(parse_config(dict(sections))))


def close_run(environment: Environment, state: str, message: str) -> None:
    """End the record of the whole run.

    Args:
        environment: Environment that names the run.
        state: Final state of the run in KFP: `SUCCEEDED` by its local runner. Kubeflow has said `COMPLETE`, and `RUNNING` of
            a run whose steps are all over: then their records decide.
        message: Error message of KFP.
    """
    if environment.run_id:
        runs, run_id = _runs(environment), environment.run_id
        succeeded = state in _SUCCEEDED or (state not in _FAILED and _no_step_failed(runs.run(run_id)))
        runs.close(run_id, succeeded=succeeded, headline=message)


def _no_step_failed(record: RunRecord) -> bool:
    """Whether the last attempt at every step succeeded, but for this one."""
    last = {step.name: step.state for step in record.steps}
    return not {"failed", "killed"} & set(last.values())


def _runs(environment: Environment) -> "Runs":
    from serving.registry.runs import Runs  # MLflow, which a step without a record does not wait for

    return Runs(environment.mlflow_uri)
