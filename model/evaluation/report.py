"""The folder of a report: the report as JSON, every query's figures, and a page and a model card for people."""

from pathlib import Path

from model.evaluation.card import CARD, render_card
from model.evaluation.metrics import PerQuery
from model.evaluation.page import render_page
from model.files import write_text
from model.schemas.comparison import Comparison
from model.schemas.decision import Decision
from model.schemas.illustrations import Illustrations
from model.schemas.report import Report
from model.schemas.run_record import RunRecord

REPORT = "report.json"
PAGE = "report.html"
ILLUSTRATIONS = "illustrations.json"
CANDIDATE = "candidate.npz"
UNTRAINED = "untrained.npz"


def write_report(out: Path, report: Report, illustrations: Illustrations, *, candidate: PerQuery, untrained: PerQuery) -> None:
    """Write the files of a report to the folder `out`, report.json last.

    Args:
        out: The folder; it is made if it is missing. Each file appears whole or not at all.
        report: The report.
        illustrations: Its images and drawings.
        candidate: Figures and neighbours of each query.
        untrained: Figures and neighbours of each query under the untrained trunk.
    """
    candidate.save(out / CANDIDATE)
    untrained.save(out / UNTRAINED)
    illustrations.save(out / ILLUSTRATIONS)
    render_report(out, report)
    report.save(out / REPORT)


def render_report(
    folder: Path,
    report: Report,
    *,
    run: RunRecord | None = None,
    decision: Decision | None = None,
    comparison: Comparison | None = None,
    version: str | None = None,
) -> None:
    """Write the page and the model card of a report over the existing ones.

    Args:
        folder: A folder that `write_report` filled.
        report: Its report.
        run: Run that the report is shown for.
        decision: Decision of the gate; None before it is made.
        comparison: Queries won and lost against the champion; None if there is none.
        version: Name and version of the registered model, such as `demo version 3`; None before it is registered.
    """
    shown = Illustrations.load(folder / ILLUSTRATIONS)
    page = render_page(report, shown, run=run, decision=decision, comparison=comparison, version=version)
    write_text(folder / PAGE, page)
    write_text(folder / CARD, render_card(report, run=run, decision=decision, version=version))
