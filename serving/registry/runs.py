"""The record of runs: a parent run for each pipeline run, a nested run for each of its steps, in MLflow.

runs = Runs(environment.mlflow_uri)
run_id = runs.start_run("grocery multi_head 2026-11-25 04:50", params, tags)     # at the start of the pipeline
step_id = runs.start_step(run_id, "train")                                       # every step: finish, or fail with the reason
runs.log_dataset(run_id, pin); runs.log_training(run_id, report)                 # results of steps
runs.close(run_id, succeeded=True)                                               # the exit handler
runs.run(run_id)                                                                 # a RunRecord
"""

import contextlib
import json
import math
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from model.disk import disk_error
from model.errors import InvalidInput, NotFound, Unavailable
from model.redaction import redacted
from model.schemas.data_pin import DataPin
from model.schemas.run_record import RunPage, RunRecord, RunState
from model.schemas.train_report import TrainReport
from model.schemas.training_gain import TrainingGain
from serving.registry.records import DATASET_REVISION, KIND, PARENT, ending_note, read_run, read_step
from serving.registry.store import answering, experiment_id, open_client, quoted, sqlite_file

EXPERIMENT = "glocal"
LOSS, VALIDATION = "train/loss", "validation/map_at_r"
"""Metrics with one value for each epoch."""
RUN_ID = r"[0-9a-f]{32}"
"""Pattern of the id of a run."""
OUTCOME = "outcome"
"""Tag of a run that has ended: its state."""
_BATCH = 100
"""Maximum parameters, tags or metrics that MLflow takes at once."""


class Runs:
    """The record of runs.

    Args:
        tracking_uri: `sqlite:///...` or an MLflow server.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._client, self._uri = open_client(tracking_uri), tracking_uri
        self._experiment = experiment_id(self._client, tracking_uri, EXPERIMENT)

    def start_run(self, name: str, params: Mapping[str, Any] | None = None, tags: Mapping[str, Any] | None = None) -> str:
        """Begin a pipeline run; returns its id."""
        return self._start(name, params, {key: str(value) for key, value in (tags or {}).items()})

    def start_step(self, parent: str, name: str) -> str:
        """Begin a step of a run; returns its id."""
        return self._start(name, None, {PARENT: parent, KIND: "step"})

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a step as `FINISHED`, `FAILED` or `KILLED`."""
        self._client.set_terminated(run_id, status)

    def fail(self, step_id: str, headline: str, hint: str = "") -> None:
        """End a step as failed. The run that it belongs to records the same step, headline and hint."""
        step = self._client.get_run(step_id)
        self.log(step_id, tags={"error": headline, "hint": hint})
        if parent := step.data.tags.get(PARENT):
            self.log(parent, tags={"failed_step": step.info.run_name, "error": headline, "hint": hint})
        self.finish(step_id, "FAILED")

    def close(self, run_id: str, *, succeeded: bool, headline: str = "") -> None:
        """End a pipeline run. What its steps recorded says why it failed, or that the gate refused the model.

        Args:
            run_id: The run.
            succeeded: Whether all steps that were due succeeded.
            headline: The reason of the failure, if no step recorded one.
        """
        tags = self._client.get_run(run_id).data.tags
        if not succeeded and "error" not in tags:
            self.log(run_id, tags={"error": headline or "The pipeline stopped."})
        if succeeded:  # a step may have failed and succeeded when it was tried again
            for name in {"failed_step", "error", "hint"} & tags.keys():
                self._client.delete_tag(run_id, name)
        self._end(run_id, "FINISHED" if succeeded else "FAILED")

    def note_approval(self, run_id: str, *, waits: bool) -> None:
        """Note whether the version of a run still waits for an approval; nothing where the run is not on record any more."""
        try:
            ended = self.run(run_id).ended is not None
        except NotFound:
            return
        self.log(run_id, tags={"awaiting_approval": str(waits)})
        if ended:
            self._describe(run_id)

    def kill(self, run_id: str) -> None:
        """End a pipeline run, and those of its steps that have not ended, as killed.

        Raises:
            NotFound: There is no such run.
        """
        for step in self.run(run_id).steps:
            if step.state == "running":
                self.finish(step.id, "KILLED")
        self._end(run_id, "KILLED")

    def log(self, run_id: str, metrics: Mapping[str, float] | None = None, tags: Mapping[str, Any] | None = None) -> None:
        """Add figures and tags."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        figures = [Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()]
        self._client.log_batch(
            run_id, metrics=figures, tags=[RunTag(name, redacted(str(value))) for name, value in (tags or {}).items()]
        )

    def log_dataset(self, run_id: str, pin: DataPin) -> None:
        """Record the data of a run as MLflow's dataset: the name, the md5 as digest, and the whole pin as source."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = pin.model_dump_json(include={"files", "bytes", "classes", "licence"})
        source = json.dumps({"uri": pin.repo, **pin.to_json()})  # MLflow's own reader needs `uri`
        dataset = Dataset(pin.path, pin.md5, "local", source, profile=profile)
        tags = [InputTag("mlflow.data.context", "training"), InputTag(DATASET_REVISION, pin.rev)]
        self._client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def log_training(self, run_id: str, report: TrainReport) -> None:
        """Record a training: loss and validation MAP@R by epoch, and the gain of init, epochs and re-ranking.

        A run that has a training on record keeps it: a retry, or a later step, may record it again.

        Args:
            run_id: A pipeline run, or the step that trained.
            report: The training report.
        """
        from mlflow.entities import Metric

        if VALIDATION in self._client.get_run(run_id).data.metrics:
            return
        gain, now = TrainingGain.of(report), int(time.time() * 1000)
        points = [
            Metric(name, value, now, entry.epoch)
            for entry in report.history
            for name, value in ((LOSS, entry.loss), (VALIDATION, entry.map_at_r))
            if value is not None and (report.validation_classes or name != VALIDATION)
        ]
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH])
        split = {name: value for name, value in report.figures.items() if name.startswith("gain_of_")}
        figures = {"best_epoch": gain.best_epoch, "epochs": gain.epochs, **split}
        self.log(run_id, figures, {"training": gain.model_dump_json()})

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Keep a file, or everything below a folder, with the run."""
        if file.is_dir():
            self._client.log_artifacts(run_id, str(file), folder)
        else:
            self._client.log_artifact(run_id, str(file), folder)

    def kept_file(self, run_id: str, name: str, out: Path, *, artifacts: str = "") -> Path:
        """A file that is kept with a run, such as `report/report.json`: itself if it lies beside the database, else a copy.

        Args:
            run_id: Id of the run.
            name: Path of the file.
            out: Folder for the copy.
            artifacts: Address of the run's files, where its record is known; the store is not asked for it then.

        Raises:
            NotFound: There is no such run or file.
        """
        from mlflow.artifacts import download_artifacts  # asked by the address: by the run MLflow looks it up twice
        from mlflow.exceptions import MlflowException

        try:
            address = artifacts or self._client.get_run(run_id).info.artifact_uri
            if lies := self._beside(address, name):
                return lies
            return Path(download_artifacts(artifact_uri=f"{address}/{name}", dst_path=str(out), tracking_uri=self._uri))
        except (MlflowException, OSError) as error:
            if disk := disk_error(error, out):
                raise disk from error
            raise NotFound(f"Run {run_id} kept no {name}.") from error

    def log_text(self, run_id: str, text: str, name: str) -> None:
        """Keep a text with the run as a file, such as `logs/train.log`, in place of the one before.

        Raises:
            Unavailable: The store did not take it.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.log_text(run_id, text, name)
        except (MlflowException, OSError) as error:
            raise Unavailable(f"MLflow did not take {name} of run {run_id}: {error}") from error

    def texts(self, run_id: str, folder: str, known: Mapping[str, int]) -> dict[str, str]:
        """The texts that are kept with a run in a folder, by name, without those whose size is known.

        Args:
            run_id: The run.
            folder: The folder, such as `events`.
            known: Size in bytes of each text that need not be read again.

        Raises:
            Unavailable: The store does not answer.
        """
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as temporary:
            try:
                kept = [each for each in self._client.list_artifacts(run_id, folder) if not each.is_dir]
            except (MlflowException, OSError) as error:
                raise Unavailable(f"MLflow does not show the files of run {run_id}: {error}") from error
            found = {}
            for path in [each.path for each in kept if known.get(each.path) != each.file_size]:
                with contextlib.suppress(NotFound):  # it is being replaced, and is read the next time
                    found[path] = self.kept_file(run_id, path, Path(temporary)).read_text(encoding="utf-8")
            return found

    def add_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Record the settings that are not on record yet."""
        known = self._client.get_run(run_id).data.params
        self._log_params(run_id, {key: value for key, value in params.items() if key not in known})

    def tagged(self, name: str, value: str) -> RunRecord | None:
        """The oldest pipeline run with this tag, without its steps; None if there is none."""
        given = f"tags.`{PARENT}` IS NULL AND tags.`{name}` = {quoted(value)}"
        found = self._client.search_runs([self._experiment], given, max_results=1, order_by=["attributes.start_time ASC"])
        return read_run(found[0]) if found else None

    def run(self, run_id: str, *, steps: bool = True) -> RunRecord:
        """One pipeline run.

        Args:
            run_id: Its id.
            steps: Whether its steps are read too, for which the store looks through those of all runs.

        Raises:
            NotFound: There is none.
            Unavailable: The store does not answer.
        """
        with answering(self._uri, missing=f"There is no run {run_id}."):
            run = self._client.get_run(run_id)
        if not steps:
            return read_run(run)
        found = self._client.search_runs(
            [self._experiment], f"tags.`{PARENT}` = '{run.info.run_id}'", order_by=["attributes.start_time ASC"]
        )
        return read_run(run, tuple(map(read_step, found)))

    def several(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Some pipeline runs without their steps, in the given order: one question to the store.

        Raises:
            NotFound: One of them is none.
        """
        if wrong := [each for each in run_ids if not re.fullmatch(RUN_ID, each)]:
            raise NotFound(f"There is no run {wrong[0][:100]}.")
        named = ", ".join(f"'{each}'" for each in run_ids)
        found = {run.info.run_id: run for run in self._client.search_runs([self._experiment], f"attributes.run_id IN ({named})")}
        if missing := [each for each in run_ids if each not in found]:
            raise NotFound(f"There is no run {missing[0]}.")
        return [read_run(found[each]) for each in run_ids]

    def curve(self, run_id: str, name: str) -> list[tuple[int, float]]:
        """Step and finite value of every point of a metric, such as `VALIDATION` by epoch; empty if none was recorded."""
        points = self._client.get_metric_history(run_id, name)
        return [(point.step, point.value) for point in sorted(points, key=lambda each: each.step) if math.isfinite(point.value)]

    def runs(self, limit: int = 50) -> list[RunRecord]:
        """The latest pipeline runs, newest first, without their steps."""
        return list(self.page(limit).runs)

    def page(
        self,
        limit: int = 50,
        token: str = "",
        *,
        state: RunState | None = None,
        data: str = "",
        kind: str = "",
        before: datetime | None = None,
    ) -> RunPage:
        """One page of the pipeline runs, newest first, without their steps: one question to the store, however many runs it has.

        Args:
            limit: Maximum runs of the page.
            token: `next` of the page before; empty for the first.
            state: The runs in this state alone.
            data: The runs of the data set of this name alone.
            kind: The runs of this pipeline alone, such as training.
            before: The runs that were started before this moment alone.

        Raises:
            InvalidInput: The token is none.
            Unavailable: The store does not answer.
        """
        given = [f"tags.`{PARENT}` IS NULL"]
        if state:
            given.append("attributes.status = 'RUNNING'" if state == "running" else f"tags.{OUTCOME} = {quoted(state)}")
        if data:
            given.append(f"params.name = {quoted(data)}")
        if kind:
            given.append(f"tags.`{KIND}` = {quoted(kind)}")
        if before:
            given.append(f"attributes.start_time < {round(1000 * before.timestamp())}")
        try:
            with answering(self._uri, missing="This is no page of the runs.", hint="Begin at the first page."):
                found = self._client.search_runs(
                    [self._experiment],
                    " AND ".join(given),
                    max_results=limit,
                    order_by=["attributes.start_time DESC"],
                    page_token=token or None,
                )
        except NotFound as error:
            raise InvalidInput(error.headline, error.hint) from error
        return RunPage(runs=tuple(map(read_run, found)), next=found.token or "")

    def _beside(self, address: str, name: str) -> Path | None:
        """A file of a run whose files lie in the folder of the database; None if it does not."""
        from mlflow.utils.file_utils import local_file_uri_to_path as path_of

        if (database := sqlite_file(self._uri)) is None:
            return None
        file = Path(path_of(address), name).resolve()  # type: ignore[no-untyped-call] # it has no types
        return file if file.is_file() and file.is_relative_to(database.parent.resolve()) else None

    def _start(self, name: str, params: Mapping[str, Any] | None, tags: dict[str, str]) -> str:
        run_id = str(self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id)
        self._log_params(run_id, params or {})
        return run_id

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        pairs = [Param(key, redacted(str(value))) for key, value in params.items()]
        for start in range(0, len(pairs), _BATCH):
            self._client.log_batch(run_id, params=pairs[start : start + _BATCH])

    def _end(self, run_id: str, status: str) -> None:
        """Record how a run ended, and the note that MLflow shows as the run's description."""
        self._client.set_terminated(run_id, status)
        self._describe(run_id)

    def _describe(self, run_id: str) -> None:
        record = self.run(run_id)
        self.log(run_id, tags={OUTCOME: record.state, "mlflow.note.content": ending_note(record)})
