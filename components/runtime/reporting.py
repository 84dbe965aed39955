"""The report and the decision of a run, shown in the run's folder and on its record in MLflow."""

import shutil
from pathlib import Path

from components.runtime.record import record_training, recorded_run, run_evidence
from components.runtime.step import Step
from model.evaluation.report import REPORT, render_report
from model.schemas.decision import Decision
from model.schemas.model_version import ModelVersion
from model.schemas.report import Report
from model.scratch import scratch_folder
from serving.gating import DECISION


def show_report(current: Step, report: Path, *, decision: Decision | None = None, version: str | None = None) -> None:
    """Put the report on the record of the run, its page and card rendered with all that is known so far.

    Args:
        current: The step.
        report: Folder that `evaluate` wrote; it is not changed.
        decision: Decision of the gate.
        version: Name and version of the registered model.
    """
    loaded = Report.load(report / REPORT)
    with scratch_folder("report") as scratch:
        folder = shutil.copytree(report, scratch / "report")
        render_report(folder, loaded, run=recorded_run(current.environment), decision=decision, version=version)
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
    show_report(current, report, decision=decision)
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
    current.tags |= {"model": registered.model, "version": registered.version}
    run_evidence(current.environment, {}, {"model": registered.model, "model_version": registered.version}, {})
    show_report(current, report, decision=Decision.load(folder / DECISION), version=registered.label)
