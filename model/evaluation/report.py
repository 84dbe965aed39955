"""The report of an evaluation: the figures as JSON, the model card, and one page that shows what stands behind them."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Manifest
from model.errors import InvalidInput
from model.evaluation.bootstrap import by_group, paired_difference, summarise, worst_first
from model.evaluation.card import CARD, render_card, statements
from model.evaluation.metrics import FIGURES, PerQuery
from model.files import write_json, write_text

CONFIDENCE = 0.95
SHEET = 12
"""Queries on a contact sheet."""
SHOWN = 5
"""Neighbours shown of each."""
THUMBNAIL = 112
"""Pixels of a thumbnail's longer side."""
BINS = 10
EXTREMES = 10
"""Classes or groups in the tables of the best and of the worst."""
RECORDED = (*FIGURES, "latency_ms", "size_mb")
"""What is recorded of a report wherever its run or release is: the figures, and what the evaluation adds to them."""


def write_report(
    out: Path,
    *,
    title: str,
    manifest: Manifest,
    candidate: PerQuery,
    untrained: PerQuery,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    extra: Mapping[str, Any],
    samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Write `out`/report.json, report.html, model_card.md, candidate.npz and untrained.npz; report.json last.

    Args:
        out: The folder; made where missing.
        title: Heading of the page.
        manifest: The rows that were evaluated, each against all the others, in the order of `candidate`.
        candidate: The trained model's figures.
        untrained: The untrained trunk's on the same rows.
        data: The pin of the data.
        settings: What the model was made with: the sections `model` and `train`, and more.
        extra: Further entries of the report, which the card needs: see `model.evaluation.evaluate.evaluate_release`.
        samples: Resamples of the bootstrap.
        seed: Of the bootstrap, and of which queries are shown as typical.

    Returns:
        The report, flat: `recall_at_1`, `recall_at_1_interval`, ..., `untrained` (the same), `by_class`, `by_group` (empty
        where the data name no groups), `gain`, `data`, `settings` and what is in `extra`.

    Raises:
        InvalidInput: The figures are not of the manifest's rows, or an entry of `extra` has a name that is taken.
    """
    if not np.array_equal(manifest.ids, candidate.ids):
        raise InvalidInput("The figures are not of the manifest's rows.", "Give the rows that were evaluated, in that order.")
    drawing: dict[str, Any] = {"samples": samples, "confidence": CONFIDENCE, "seed": seed}
    gain = paired_difference(candidate, untrained, **drawing)
    classes = np.array(manifest.classes, dtype=str)[manifest.labels]
    report = {
        **summarise(candidate, **drawing),
        "untrained": summarise(untrained, **drawing),
        "by_class": by_group(candidate, untrained, classes, **drawing),
        "by_group": by_group(candidate, untrained, manifest.grouping, **drawing) if manifest.has_groups else {},
        "gain": {"map_at_r": gain.mean, "interval": [gain.lower, gain.upper]},
        "bootstrap": {**drawing, "drawn": "classes"},
        "data": dict(data),
        "settings": dict(settings),
    }
    if taken := sorted(report.keys() & extra.keys()):
        raise InvalidInput(f"The report has entries called {', '.join(taken)} already.", "Name the further entries otherwise.")
    report |= extra
    candidate.save(out / "candidate.npz")
    untrained.save(out / "untrained.npz")
    page = render(title=title, report=report, extra=extra, manifest=manifest, candidate=candidate, untrained=untrained, seed=seed)
    write_text(out / "report.html", page)
    write_text(out / CARD, render_card(title, report))
    write_json(out / "report.json", report)
    return report


def render(
    *,
    title: str,
    report: Mapping[str, Any],
    extra: Mapping[str, Any],
    manifest: Manifest,
    candidate: PerQuery,
    untrained: PerQuery,
    seed: int,
) -> str:
    """The page: one file that asks nothing of any other place. Everything named in the data is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html").render(
        title=title,
        report=report,
        figures=[_figure(name, report) for name in FIGURES if name in report],
        histogram=_histogram(candidate, untrained),
        sheets=_sheets(manifest, candidate, seed),
        tables={"Groups": _tables(report["by_group"], "groups"), "Classes": _tables(report["by_class"], "classes")},
        statements=statements(report),
        details={"Data": _flat(report["data"]), "Settings": _flat(report["settings"]), "Also measured": _flat(extra)},
    )


def _figure(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of figures, and of the bars beside it."""
    sides = (("candidate", report), ("untrained", report["untrained"]))
    bars = [{"of": of, "value": side[name], "interval": side[f"{name}_interval"]} for of, side in sides]
    return {"name": FIGURES[name], "bars": bars, "change": report[name] - report["untrained"][name]}


def _histogram(candidate: PerQuery, untrained: PerQuery) -> dict[str, Any]:
    """How many queries have which MAP@R: a pair of columns for each tenth."""
    counts = [np.histogram(side.figures()["map_at_r"], BINS, (0.0, 1.0))[0] for side in (candidate, untrained)]
    columns = [
        {"from": i / BINS, "to": (i + 1) / BINS, "candidate": int(counts[0][i]), "untrained": int(counts[1][i])}
        for i in range(BINS)
    ]
    return {"columns": columns, "most": int(np.max(counts))}


def typical_queries(figures: PerQuery, count: int = SHEET, seed: int = 0) -> NDArray[np.int64]:
    """Queries at evenly spaced ranks of MAP@R, best first; among equals by chance."""
    rows = np.flatnonzero(figures.has_match)
    rows = np.random.default_rng(seed).permutation(rows)
    rows = rows[np.argsort(-figures.map_at_r[rows], kind="stable")]
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
    return rows[places]


def worst_queries(figures: PerQuery, count: int = SHEET) -> NDArray[np.int64]:
    """The queries of the lowest MAP@R, at most one a class; among equals, the surest of a wrong answer first."""
    rows = np.flatnonzero(figures.has_match)
    rows = rows[np.lexsort((-figures.scores[rows, 0], figures.map_at_r[rows]))]
    _, first = np.unique(figures.labels[rows], return_index=True)
    return rows[np.sort(first)[:count]]


@dataclass(frozen=True)
class Image:
    """A thumbnail on a contact sheet. `source` is a data: URI, None where the image cannot be read."""

    source: str | None
    name: str
    path: str
    right: bool = False
    score: float = 0.0


def _sheets(manifest: Manifest, figures: PerQuery, seed: int) -> list[dict[str, Any]]:
    typical = {
        "title": "Typical queries",
        "text": "Taken at even distances from the best MAP@R to the lowest, so that they stand for all.",
        "queries": [_shown(manifest, figures, int(row)) for row in typical_queries(figures, seed=seed)],
    }
    worst = {
        "title": "The worst queries",
        "text": "The lowest MAP@R, at most one of a class; among equals, the surest of a wrong answer first.",
        "queries": [_shown(manifest, figures, int(row)) for row in worst_queries(figures)],
    }
    return [typical, worst]


def _shown(manifest: Manifest, figures: PerQuery, row: int) -> dict[str, Any]:
    """A query and its nearest neighbours, ready to show."""
    neighbours = []
    for other, score in zip(figures.neighbours[row, :SHOWN], figures.scores[row, :SHOWN], strict=True):
        if other >= 0:
            neighbours.append(
                _image(manifest, int(other), right=bool(figures.labels[other] == figures.labels[row]), score=float(score))
            )
    return {"query": _image(manifest, row), "map_at_r": float(figures.map_at_r[row]), "neighbours": neighbours}


def _image(manifest: Manifest, row: int, *, right: bool = False, score: float = 0.0) -> Image:
    path = str(manifest.paths[row])
    source = thumbnail(manifest.folder / path, manifest.boxes[row])
    return Image(source, manifest.classes[manifest.labels[row]], path, right, score)


def thumbnail(file: Path, box: NDArray[np.float32]) -> str | None:
    """A small JPEG of the image, or of `box` (4,) in it where that is not NaN, as a data: URI; None if it cannot be read."""
    from torchvision.io import encode_jpeg
    from torchvision.transforms.v2 import functional as transforms

    from model.data.images import decode_image

    try:
        image = decode_image(file.read_bytes())  # (3, H, W) uint8, turned as the trunk saw it
    except (InvalidInput, OSError):
        return None
    if not np.isnan(box).any():
        left, top = np.maximum(np.floor(box[:2]), 0).astype(int)
        right, bottom = np.ceil(box[2:]).astype(int)
        cropped = image[:, top:bottom, left:right]
        image = cropped if cropped.numel() else image
    height, width = image.shape[1:]
    ratio = min(1.0, THUMBNAIL / max(height, width))
    size = [max(1, round(height * ratio)), max(1, round(width * ratio))]
    small = transforms.resize(image, size, antialias=True)
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(small, quality=80).numpy().tobytes()).decode()


def _tables(table: Mapping[str, Mapping[str, Any]], what: str) -> dict[str, list[dict[str, Any]]]:
    """The worst and the best; or all of them, worst first, where they are few; nothing where there is none."""
    rows = worst_first(table)
    if len(rows) <= 2 * EXTREMES:
        return {f"All {what}, worst first": rows} if rows else {}
    return {f"The worst {what}": rows[:EXTREMES], f"The best {what}": rows[: -EXTREMES - 1 : -1]}


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines of `a.b` and text."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{prefix}{name}.")
        else:
            lines.append((f"{prefix}{name}", _text(value)))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Iterable):
        return ", ".join(_text(item) for item in value)
    return json.dumps(value, default=str)
