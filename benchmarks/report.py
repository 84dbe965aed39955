"""The comparison for readers: a table for the terminal, and one self-contained HTML page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.trials import REFERENCE, UNTRAINED
from model.evaluation.metrics import FIGURES
from model.files import write_text

MEASURED = {"seconds": "Seconds", "parameters": "Parameters", "dimensions": "Size", "query_ms": "Query ms"}
_GREY, _BLUE, _INK = "#a3adba", "#1f5fbf", "#7a8694"
"""Colours of the untrained trunk, of methods, and of text, which is readable on light and dark pages."""


def table(results: dict[str, Any]) -> str:
    """The rows of every data set, aligned; where there are several, the mean ranks as well."""
    parts = [_lines(name, found) for name, found in results["data"].items()]
    if len(parts) > 1:
        ranks = sorted(results["mean_rank"].items(), key=lambda each: each[1])
        parts.append("\n".join(["mean rank by MAP@R", *(f"  {rank:5.2f}  {method}" for method, rank in ranks)]))
    return "\n\n".join(parts)


def _lines(name: str, found: dict[str, Any]) -> str:
    width = max(len(method) for method in found["methods"])
    titles = [*FIGURES.values(), "MAP@R over seeds", *MEASURED.values()]
    widths = [max(11, len(title)) for title in titles]
    lines = [f"{name}: {found['test']['queries']} queries of {found['test']['classes']} unseen classes"]
    lines.append(" " * width + "".join(f"  {title:>{wide}}" for title, wide in zip(titles, widths, strict=True)))
    for method, row in found["methods"].items():
        cells = [row["error"]] if "error" in row else list(_texts(row))
        lines.append(f"{method:<{width}}" + "".join(f"  {cell:>{wide}}" for cell, wide in zip(cells, widths, strict=False)))
    return "\n".join(lines)


def _texts(row: dict[str, Any]) -> Iterator[str]:
    yield from (f"{row[figure]:.3f}" for figure in FIGURES)
    yield span(row["intervals"]["map_at_r"])
    yield from (f"{row['seconds']:.1f}", f"{row['parameters']:,}", str(row["dimensions"]), f"{row['query_ms']:.1f}")


def span(interval: list[float] | None) -> str:
    """An interval as text."""
    return f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else "–"  # noqa: RUF001  # the dash of ranges


def write_page(file: Path, results: dict[str, Any]) -> None:
    """Write the page with plotly's script in it. All names from the data are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    sets = [{"name": name, **found, "plots": _plots(name, found)} for name, found in results["data"].items()]
    page = environment.get_template("report.html").render(
        sets=sets,
        results=results,
        figures=FIGURES,
        reference=REFERENCE,
        untrained=UNTRAINED,
        span=span,
        script=get_plotlyjs(),
        settings=_shared(results["settings"]),
    )
    write_text(file, page)


def _shared(settings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The settings that all methods share, by their full names."""
    own = {"method", "seed"}
    return {f"{section}.{key}": value for section, keys in settings.items() for key, value in keys.items() if key not in own}


def _plots(name: str, found: dict[str, Any]) -> dict[str, str]:
    rows = {method: row for method, row in found["methods"].items() if "error" not in row}
    return {"bars": _bars(f"{name}-bars", rows), "curves": _curves(f"{name}-curves", found["curves"])}


def _bars(name: str, rows: dict[str, dict[str, Any]]) -> str:
    """MAP@R of each method with its interval over seeds."""
    from plotly.graph_objects import Bar, Figure

    intervals = [row["intervals"]["map_at_r"] or [row["map_at_r"]] * 2 for row in rows.values()]
    values = [row["map_at_r"] for row in rows.values()]
    bars = Bar(
        x=values,
        y=list(rows),
        orientation="h",
        marker_color=[_GREY if method == UNTRAINED else _BLUE for method in rows],
        error_x={
            "array": [high - value for (_, high), value in zip(intervals, values, strict=True)],
            "arrayminus": [value - low for (low, _), value in zip(intervals, values, strict=True)],
            "color": _INK,
        },
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
    )
    figure = Figure(bars)
    figure.update_yaxes(autorange="reversed")
    return _drawn(figure, name, 90 + 26 * len(rows), "MAP@R on the test classes", "")


def _curves(name: str, curves: dict[str, list[float]]) -> str:
    """Held-out MAP@R by epoch of the selection, which seed 0 ran."""
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for method, figures in curves.items():
        figure.add_trace(Scatter(x=list(range(len(figures))), y=figures, name=method, mode="lines+markers", marker_size=4))
    return _drawn(figure, name, 420, "epoch", "MAP@R on held-out classes")


def _drawn(figure: Any, name: str, height: int, x: str, y: str) -> str:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 10, "t": 10, "b": 45},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font_color=_INK,
    )
    figure.update_xaxes(title=x, gridcolor="rgba(128,128,128,.25)", zeroline=False, automargin=True)
    figure.update_yaxes(title=y, gridcolor="rgba(128,128,128,.25)", zeroline=False, automargin=True)
    config = {"displayModeBar": False, "responsive": True}
    drawn: str = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
    return drawn
