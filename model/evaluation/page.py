"""The page of a report: one HTML file without scripts or links to other files."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.evaluation.charts import FALSE_ACCEPTS, accept_charts, training_curves
from model.evaluation.definitions import definitions
from model.evaluation.figures import GroupRow, worst_first
from model.evaluation.metrics import FIGURES
from model.evaluation.statements import few_classes, reranking_story, statements, threshold_warnings, training_story, verdict
from model.nested import flattened
from model.schemas.comparison import Comparison
from model.schemas.decision import Decision
from model.schemas.figures import Figure, GroupFigures
from model.schemas.illustrations import Illustrations
from model.schemas.report import Report
from model.schemas.run_record import RunRecord
from model.text import one_line

if TYPE_CHECKING:
    from jinja2 import Template

EXTREMES = 10
"""Classes or groups in the tables of the best and the worst."""
_MOMENT = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True)
class FigureRow:
    """One figure of both models, as a row of the table and as a pair of bars."""

    title: str
    candidate: Figure
    untrained: Figure


def render_page(
    report: Report,
    shown: Illustrations,
    *,
    run: RunRecord | None = None,
    decision: Decision | None = None,
    comparison: Comparison | None = None,
    version: str | None = None,
) -> str:
    """The page as HTML. All names and texts of the data, the run and the settings are escaped.

    Args:
        report: The report.
        shown: Its images and drawings.
        run: Run that the report is shown for.
        decision: Decision of the gate; None before it is made.
        comparison: Queries won and lost against the champion; None if there is none.
        version: Name and version of the registered model, such as `demo version 3`; None before it is registered.
    """
    retrieval = report.retrieval
    return template("report.html").render(
        report=report,
        retrieval=retrieval,
        shown=shown,
        accepted=accept_charts(report),
        ticks=FALSE_ACCEPTS,
        threshold_warnings=threshold_warnings(report),
        run=run,
        decision=decision,
        compared=comparison,
        version=version,
        rows=[
            FigureRow(title, retrieval.figures[name], retrieval.untrained[name])
            for name, title in FIGURES.items()
            if name in retrieval.figures
        ],
        tallest=max(max(column.candidate, column.untrained) for column in retrieval.histogram),
        curves=training_curves(report.training),
        verdict=verdict(report),
        story=training_story(report.training),
        reranking=reranking_story(report),
        tables={"Groups": _tables(retrieval.by_group, "groups"), "Classes": _tables(retrieval.by_class, "classes")},
        statements=statements(report),
        definitions=definitions(report.latency.queries),
        few_classes=few_classes(report),
        details=_details(report, run),
    )


def template(name: str) -> "Template":
    """A template in `pages/`, which escapes every text that it shows."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent / "pages")
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"one_line": one_line}
    return environment.get_template(name)


def _tables(table: Mapping[str, GroupFigures], what: str) -> dict[str, list[GroupRow]]:
    """Tables of the worst and the best groups; one table of all if there are few; no table if there are none."""
    rows = worst_first(table)
    if len(rows) <= 2 * EXTREMES:
        return {f"All {what}, worst first": rows} if rows else {}
    return {f"The worst {what}": rows[:EXTREMES], f"The best {what}": rows[: -EXTREMES - 1 : -1]}


def _details(report: Report, run: RunRecord | None) -> dict[str, list[tuple[str, str]]]:
    """The details of data, settings and network, as lines of a name and a text under headings."""
    measured = report.model_dump(include={"latency", "size_mb", "gallery", "index", "splits", "calibration", "licences"})
    heads = {head.name: head.settings for head in report.network.heads}
    losses = {f"{loss.name} on {loss.on}": loss.weight for loss in report.network.losses}
    return {
        "Run": _lines(_run_lines(report, run)),
        "Data": _lines(report.data.model_dump()),
        "Settings": _lines(report.settings),
        "Network": _lines({"dimensions": report.network.dimensions, "head": heads, "loss": losses}),
        "Also measured": _lines(measured),
    }


def _run_lines(report: Report, run: RunRecord | None) -> dict[str, str]:
    release = {"release": report.release, "embedding space": report.embedding_space_id, "release made by": report.code_revision}
    lines = {"evaluated": report.made_at.strftime(_MOMENT), **release}
    if run is None:
        return lines
    named = {
        "run": run.name,
        "run id": run.id,
        "started": run.started.strftime(_MOMENT),
        "by": run.user,
        "why": run.why,
        "code": run.code_revision,
    }
    return {name: text for name, text in named.items() if text} | lines


def _lines(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested values as lines of a dotted name and a text."""
    return [(name, _text(value)) for name, value in flattened(values)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Iterable):
        return ", ".join(_text(item) for item in value)
    return json.dumps(value, default=str)
