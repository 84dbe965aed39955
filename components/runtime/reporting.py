"""The report and the decision of a run, shown in the run's folder and on its record in MLflow."""

import shutil
from pathlib import Path

from components.runtime.run_record import record_data, record_training, recorded_run, run_evidence
from components.runtime.step import Step
from model.evaluation.report import REPORT, render_report
from model.schemas.comparison import COMPARISON, Comparison
from model.schemas.decision import DECISION, Decision
from model.schemas.gallery import CHANGE, GalleryChange
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Deployment
from model.schemas.report import Report
from model.schemas.reproduction import REPRODUCTION, Reproduction
from model.scratch import scratch_folder

_NAMED = 5
"""Maximum copies that are named one by one."""


def show_report(
    current: Step,
    report: Path,
    *,
    decision: Decision | None = None,
    comparison: Comparison | None = None,
    version: str | None = None,
) -> None:
    """Put the report on the record of the run, its page and card rendered with all that is known so far.

    Args:
        current: The step.
        report: Folder that `evaluate` wrote; it is not changed.
        decision: Decision of the gate.
        comparison: Queries won and lost against the champion.
        version: Name and version of the registered model.
    """
    loaded = Report.load(report / REPORT)
    with scratch_folder("report") as scratch:
        folder = shutil.copytree(report, scratch / "report")
        run = recorded_run(current.environment)
        render_report(folder, loaded, run=run, decision=decision, comparison=comparison, version=version)
        tags = {"md5": loaded.data.md5, "release": loaded.release}
        if decision is None:
            record_training(current.environment, loaded.training)
        figures = loaded.recorded() if decision is None else {}  # only once in a run
        run_evidence(current.environment, figures, tags, {"report": folder})


def show_decision(current: Step, report: Path, folder: Path, decision: Decision) -> None:
    """Put the decision on the record of the run, and the report again with the decision in it.

    Args:
        current: The step.
        report: Folder that `evaluate` wrote.
        folder: Folder of the decision.
        decision: Decision of the gate.
    """
    show_report(current, report, decision=decision, comparison=Comparison.load_if_there(folder / COMPARISON))
    record_decision(current, folder, decision)


def record_decision(current: Step, folder: Path, decision: Decision) -> None:
    """Put the decision, given with its folder, on the record of the run."""
    tags = {"passed": str(decision.passed), "refused": "\n".join(decision.refused)}
    current.tags |= tags | {"release": decision.release}
    run_evidence(current.environment, {}, tags, {"decision": folder})


def show_registered(current: Step, report: Path, folder: Path, registered: ModelVersion) -> None:
    """Put the registered version on the record of the run, and the report again with the version in it.

    Args:
        current: The step.
        report: Folder that `evaluate` wrote.
        folder: Folder of the decision.
        registered: The version.
    """
    record_registered(current, registered)
    decision, comparison = Decision.load(folder / DECISION), Comparison.load_if_there(folder / COMPARISON)
    show_report(current, report, decision=decision, comparison=comparison, version=registered.label)


def record_registered(current: Step, registered: ModelVersion) -> None:
    """Put the registered version on the record of the run."""
    current.tags |= {"model": registered.model, "version": registered.version}
    run_evidence(current.environment, {}, {"model": registered.model, "model_version": registered.version}, {})


def record_deployed(current: Step, done: Deployment) -> None:
    """Put the version that serves, and where, on the record of the run."""
    tags = {"model": done.name, "model_version": done.version, "address": done.address}
    current.tags |= tags
    run_evidence(current.environment, {}, tags, {})


def record_approval(current: Step, name: str, version: str) -> bool:
    """Put on the record of the run whether the version waits for an approval; returns whether it may serve."""
    from serving.approval import read_approval
    from serving.deployment import ModelRecords

    environment = current.environment
    model = ModelRecords.open(environment.home, environment.mlflow_uri, name)
    registered = model.registry.version(version)
    said = read_approval(model.registry, model.ledger, registered)
    may_serve = said is None or said.may_serve
    if not may_serve:
        current.warn(f"{registered.label} does not serve before operators have approved it: glocal approve {registered.version}.")
    run_evidence(environment, {}, {"awaiting_approval": str(not may_serve)}, {})
    return may_serve


def show_reproduction(current: Step, report: Path, folder: Path, found: Reproduction) -> None:
    """Write how a repeated training compares into a folder, and put it and the report on the record of the run.

    Args:
        current: The step.
        report: Folder that `evaluate` wrote.
        folder: Folder that is made.
        found: The comparison.
    """
    found.save(folder / REPRODUCTION)
    show_report(current, report)
    current.figures |= {"figures_difference": found.figures_difference}
    if found.embeddings_difference is not None:
        current.figures |= {"embeddings_difference": found.embeddings_difference}
    current.tags |= {"reproduces": f"{found.model} version {found.version}", "agrees": str(found.agrees)}
    record_data(current.environment, found.data, current.record_id)
    run_evidence(current.environment, current.figures, current.tags, {"reproduction": folder})


def show_change(current: Step, folder: Path, change: GalleryChange, model: str) -> None:
    """Write the change of a gallery into a folder, put it on the record of the run, and say which images were there before.

    Args:
        current: The step.
        folder: Folder that is made.
        change: The change.
        model: Name of the registered model.
    """
    change.save(folder / CHANGE)
    added, removed = sum(change.added.values()), sum(change.removed.values())
    current.figures |= {"images": change.images, "labels": change.labels, "added": added, "removed": removed}
    current.tags |= {"base": f"{model} version {change.version}", "release": change.release or "none"}
    figures = {"gallery_images": float(change.images), "gallery_labels": float(change.labels)}
    run_evidence(current.environment, figures, {"model": model}, {"gallery": folder})
    copies = list(change.copies.items())
    for sample, entry in copies[:_NAMED]:
        current.warn(f"{sample} is in the gallery already, as {entry}; it is not added again.")
    if len(copies) > _NAMED:
        current.warn(f"{len(copies) - _NAMED} more images are in the gallery already; change.json names them.")
