"""A pipeline run from its arguments to its result: recorded, logged, and summed up as one JSON object."""

import signal
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from components.runtime.revision import code_revision
from model.claim import claim
from model.config import GateConfig, ModelConfig, RunConfig
from model.data.importing.dataset_name import changed_name, default_name
from model.data.versions.pin import check_name
from model.environment import Environment, current_user
from model.evaluation.report import PAGE, REPORT
from model.evaluation.statements import verdict
from model.files import write_json
from model.home import BEGUN, RESULT
from model.networks.methods import get_method
from model.networks.trunk_names import check_trunk_name
from model.schemas.decision import DECISION, Decision
from model.schemas.figures import Figure
from model.schemas.gallery import CHANGE, GalleryChange
from model.schemas.report import Report
from model.schemas.reproduction import REPRODUCTION, Reproduction
from model.schemas.run_event import RunEvent
from model.schemas.run_result import RunError, RunResult, RunStatus
from pipelines.killed_runs import close_killed_runs, killed_if_interrupted
from pipelines.provenance import run_name, run_params, run_tags
from pipelines.runners.local import alive
from pipelines.runners.port import Listener, PipelineRun, RunnerName, Work, runner_named
from pipelines.sources import locate_for
from serving.registry.runs import Runs
from serving.registry.store import refuse_lost_records


@dataclass(frozen=True)
class RunSpec:
    """What one run of a pipeline is to be.

    Attributes:
        pipeline: Name of the pipeline; see `pipelines.compiled.PIPELINES`.
        arguments: The pipeline's parameters.
        title: Name of the run for people.
        params: Settings that are recorded with it, by full name.
        command: The command that starts it, such as `glocal run`.
        why: The reason, recorded with the run and with the promotion.
        order: Id of the order of the queue that it executes, recorded with the run; empty if it was not queued.
    """

    pipeline: str
    arguments: dict[str, Any]
    title: str
    params: dict[str, Any]
    command: str
    why: str
    order: str = ""


def pipeline_arguments(source: str, name: str, config: RunConfig, why: str) -> dict[str, Any]:
    """The parameters of the training pipeline, with the sections of the configuration by name."""
    shards = list(range(config.index.shards)) if config.index.shards > 1 else []
    return {"source": source, "name": name, **config.model_dump(mode="json"), "why": why, "shards": shards}


def check_training(source: str, name: str, config: RunConfig, runner: RunnerName = "local") -> str:
    """Check what a training is ordered with; returns the address of its source, independent of the current folder.

    Nothing large is imported for it: whether the trunk offers feature maps is looked at by the process that runs the training.

    Raises:
        InvalidInput: There is no such source where the run is executed, no such method, attention block or trunk, or the name
            cannot be that of a data set.
    """
    source = locate_for(runner, source)
    check_name(name or default_name(source))
    _check_model(config.model)
    return source


def run_training(
    source: str,
    config: RunConfig,
    *,
    name: str = "",
    environment: Environment,
    listener: Listener,
    why: str,
    order: str = "",
    folder: Path | None = None,
) -> RunResult:
    """Run the training pipeline.

    Args:
        source: A folder, a CSV, an `s3://` prefix or `name@revision`.
        config: The settings.
        name: Name of the data set; empty: after the source.
        environment: The home, the registry and the user.
        listener: Called with every event.
        why: The reason, recorded with the promotion.
        order: Id of the order of the queue; empty if the run was not queued.
        folder: Folder of the run's logs and result; None: a new one.

    Raises:
        InvalidInput: See `check_training`; or the trunk offers no feature maps. Nothing was started.
        StorageFailed: The registry's database is lost or damaged. Nothing was started.
    """
    source = check_training(source, name, config, environment.runner)
    _check_trunk(config.model)
    claim(environment.home)
    refuse_lost_records(environment.mlflow_uri, environment.home)
    if renamed := "" if name else changed_name(source):
        listener(RunEvent(step="run", event="warning", text=renamed))
    dataset = name or default_name(source)
    spec = RunSpec(
        pipeline="training",
        arguments=pipeline_arguments(source, name, config, why),
        title=run_name(dataset, config, datetime.now()),
        params=run_params(source, dataset, config),
        command="glocal run",
        why=why,
        order=order,
    )
    return run_pipeline(spec, environment=environment, listener=listener, folder=folder)


def new_name() -> str:
    """A name for a run's folder or an order: the time, and letters that no other one has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"


def run_pipeline(spec: RunSpec, *, environment: Environment, listener: Listener, folder: Path | None = None) -> RunResult:
    """Run a pipeline where `environment.runner` says, and record how it went.

    Args:
        spec: The pipeline, its arguments, and what is recorded with the run.
        environment: The home, the registry and the user.
        listener: Called with every event.
        folder: Folder of the run's logs and result; None: a new one.
    """
    from pipelines.compiled import compile_pipeline  # KFP, which nobody waits for who only orders a run

    folder = folder or environment.home.runs / new_name()
    run = runner_named(environment.runner)
    runs = Runs(environment.mlflow_uri)
    close_killed_runs(runs, folder.parent, lambda text: listener(RunEvent(step="run", event="warning", text=text)))
    with alive(folder):
        run_id = runs.start_run(spec.title, spec.params, run_tags(folder, spec.why, spec.pipeline, spec.command, spec.order))
        write_json(folder / BEGUN, {"run_id": run_id})
        with killed_if_interrupted(runs, run_id, folder):
            work = Work(
                compile_pipeline(folder / "pipeline.yaml", spec.pipeline),
                spec.pipeline,
                spec.arguments,
                title=spec.title,
                run_id=run_id,
                folder=folder,
                environment=environment,
                variables={
                    "GLOCAL_HOME": str(environment.home.root),
                    "GLOCAL_RUN_ID": run_id,
                    "GLOCAL_RUN_FOLDER": str(folder),
                    "GLOCAL_CODE_REVISION": code_revision(),
                    "GLOCAL_USER": current_user(),
                },
            )
            done = run(work, listener)
        result = _result(done, folder, runs, run_id)
        write_json(folder / RESULT, result.to_json())
    return result


def _check_model(config: ModelConfig) -> None:
    """Check that the method and the attention blocks exist, and the trunk by its name."""
    get_method(config.method, global_attention=config.global_attention, local_attention=config.local_attention)
    if not _has_default_trunk(config):
        check_trunk_name(config.trunk, config.weights)


def _check_trunk(config: ModelConfig) -> None:
    """Check that the trunk can be made."""
    if not _has_default_trunk(config):
        from model.networks.trunk import check_trunk  # torch, which a run of the default trunk does not wait for

        check_trunk(config.trunk, config.weights)


def _has_default_trunk(config: ModelConfig) -> bool:
    default = ModelConfig()
    return (config.trunk, config.weights) == (default.trunk, default.weights)


def _result(done: PipelineRun, folder: Path, runs: Runs, run_id: str) -> RunResult:
    """The result of a run, from its record and its folder."""
    error = None if done.succeeded else _error(done, folder)
    if error:
        runs.close(run_id, succeeded=False, headline=error.headline)  # also if the exit handler could not
    recorded = runs.run(run_id)
    ended: RunStatus = recorded.state if recorded.state in {"rejected", "awaiting"} else "succeeded"
    rejected = error is None and ended == "rejected"
    return RunResult(
        status="failed" if error else ended,
        run_id=run_id,
        log=str(done.log),
        steps=tuple(done.steps),
        data=recorded.data,
        training=recorded.training,
        report=_report(folder),
        gallery=GalleryChange.load_if_there(folder / "gallery" / CHANGE),
        reproduction=Reproduction.load_if_there(folder / "reproduction" / REPRODUCTION),
        model=recorded.model or None,
        model_version=recorded.model_version or None,
        alias="champion" if recorded.address else "challenger" if recorded.model_version else None,
        address=recorded.address or None,
        error=error,
        refused=tuple(recorded.refused) if rejected else None,
        **(_decision(folder) if rejected else {}),
    )


def _decision(folder: Path) -> dict[str, Any]:
    """The settings of the rules that did not hold, and the path of the decision. Rules without a setting are left out."""
    file = folder / "decision" / DECISION
    if not file.is_file():
        return {}
    settings = {f"gate.{name}" for name in GateConfig.model_fields}
    return {"refused_rules": tuple(rule for rule in Decision.load(file).refused_rules if rule in settings), "decision": str(file)}


def _error(done: PipelineRun, folder: Path) -> RunError:
    failure = done.failure or _unreported(done)
    log = folder / f"{failure.step}.log"
    return RunError(
        step=failure.step,
        headline=failure.headline,
        hint=failure.hint,
        log=str(log if log.is_file() else done.log),
        defects=tuple(done.defects),
        exit_code=failure.exit_code,
    )


def _unreported(done: PipelineRun) -> RunEvent:
    """The failure of a run whose processes ended without a word, as killed ones do."""
    step = done.under_way or "pipeline"
    if not done.killed_by:
        return RunEvent(step=step, event="failed", headline="The pipeline stopped.", hint="The log says why.")
    memory = "Memory is the usual reason: end other programs, or lower train.chunk or model.image_size. "
    hint = f"{memory if done.killed_by == signal.SIGKILL else ''}The same command resumes."
    return RunEvent(step=step, event="failed", headline=f"It was killed by signal {done.killed_by}.", hint=hint)


def _report(folder: Path) -> dict[str, Any] | None:
    file = folder / "report" / REPORT
    return _figures(Report.load(file)) | {"path": str(folder / "report" / PAGE)} if file.is_file() else None


def _figures(report: Report) -> dict[str, Any]:
    def headline(figures: dict[str, Figure]) -> dict[str, Any]:
        values = {name: figure.value for name, figure in figures.items()}
        return values | {f"{name}_interval": [figure.lower, figure.upper] for name, figure in figures.items()}

    retrieval = report.retrieval
    return headline(retrieval.figures) | {
        "verdict": verdict(report),
        "queries": retrieval.queries,
        "queries_without_match": retrieval.queries_without_match,
        "latency_ms": report.latency.median_ms,
        "size_mb": report.size_mb,
        "gain": {"map_at_r": retrieval.gain.value, "interval": [retrieval.gain.lower, retrieval.gain.upper]},
        "untrained": headline(retrieval.untrained),
        "reranking": report.reranking.model_dump(mode="json") if report.reranking else None,
    }
