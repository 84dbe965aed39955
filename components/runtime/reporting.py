"""What a run shows people: the report and the decision, in the run's folder and on its record in MLflow."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from components.runtime.step import Step, run_evidence
from model.evaluation.report import REPORT, render_report
from model.schemas.decision import Decision
from model.schemas.report import Report
from model.schemas.run_origin import RunOrigin


def show_report(current: Step, report: Path, *, decision: Decision | None = None, version: str | None = None) -> None:
    """Put the report on the record of the run, its page and card rendered with all that is known by now.

    Args:
        current: The step.
        report: What `evaluate` wrote; it stays as it is.
        decision: What the gate decided.
        version: Name and version of the registered model.
    """
    found = Report.load(report / REPORT)
    with tempfile.TemporaryDirectory(prefix="glocal-report-") as scratch:
        folder = Path(shutil.copytree(report, Path(scratch) / "report"))
        render_report(folder, found, run=run_origin(current), decision=decision, version=version)
        tags = {"md5": found.data.md5, "release": found.release}
        figures = found.recorded() if decision is None else {}  # once a run
        run_evidence(current.environment, figures, tags, {"report": folder})


def show_decision(current: Step, report: Path, folder: Path, decision: Decision) -> None:
    """Put the decision on the record of the run, and the report again with the decision in it.

    Args:
        current: The step.
        report: What `evaluate` wrote.
        folder: The folder with the decision.
        decision: What the gate decided.
    """
    show_report(current, report, decision=decision)
    tags = {"passed": str(decision.passed)}
    current.tags |= tags | {"release": decision.release, "refused": " ".join(decision.refused)}
    run_evidence(current.environment, {}, tags, {"decision": folder})


def run_origin(current: Step) -> RunOrigin | None:
    """Which run this step belongs to, as MLflow has it; None where there is no record."""
    environment = current.environment
    if not environment.run_id:
        return None
    from components.runtime.step import code_revision
    from serving.registry.runs import Runs

    found = Runs(environment.mlflow_uri).run(environment.run_id)
    return RunOrigin(
        run_id=environment.run_id,
        name=found["name"] or "",
        why=found["tags"].get("why", ""),
        user=environment.user,
        started_at=datetime.fromtimestamp(found["start"] / 1000, UTC),
        code_revision=code_revision(),
    )
