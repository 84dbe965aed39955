"""The folder of a report: the report as JSON, every query's figures, and a page and a model card for people."""

from pathlib import Path

from model.data.manifest import Manifest
from model.evaluation.card import CARD, render_card
from model.evaluation.contact_sheets import contact_sheets
from model.evaluation.metrics import PerQuery
from model.evaluation.page import render_page
from model.files import write_text
from model.schemas.contact_sheets import ContactSheets
from model.schemas.decision import Decision
from model.schemas.report import Report
from model.schemas.run_record import RunRecord

REPORT = "report.json"
PAGE = "report.html"
SHEETS = "contact_sheets.json"
CANDIDATE = "candidate.npz"
UNTRAINED = "untrained.npz"


def write_report(out: Path, report: Report, *, manifest: Manifest, candidate: PerQuery, untrained: PerQuery) -> None:
    """Write the files of a report to the folder `out`, report.json last.

    Args:
        out: The folder; it is made if it is missing. Each file appears whole or not at all.
        report: The report.
        manifest: Searched samples: the queries in the order of `candidate`, then the distractors.
        candidate: Figures and neighbours of each query.
        untrained: Figures and neighbours of each query under the untrained trunk.
    """
    candidate.save(out / CANDIDATE)
    untrained.save(out / UNTRAINED)
    contact_sheets(manifest, candidate, report.retrieval.bootstrap.seed).save(out / SHEETS)
    render_report(out, report)
    report.save(out / REPORT)


def render_report(
    folder: Path,
    report: Report,
    *,
    run: RunRecord | None = None,
    decision: Decision | None = None,
    version: str | None = None,
) -> None:
    """Write the page and the model card of a report over the existing ones.

    Args:
        folder: A folder that `write_report` filled.
        report: Its report.
        run: Run that the report is shown for.
        decision: Decision of the gate; None before it is made.
        version: Name and version of the registered model, such as `demo version 3`; None before it is registered.
    """
    sheets = ContactSheets.load(folder / SHEETS)
    write_text(folder / PAGE, render_page(report, sheets, run=run, decision=decision, version=version))
    write_text(folder / CARD, render_card(report, run=run, decision=decision, version=version))
