"""The geometry of a report's charts: lines in a box of 100 x 100, y downwards, which the page stretches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from model.schemas.accept_rates import AcceptFigures, AcceptRates, MeasuredThreshold
from model.schemas.report import Report
from model.schemas.train_report import TrainReport

FALSE_ACCEPTS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""False-accept rates at the ticks of a logarithmic axis, the first one at the left end."""


@dataclass(frozen=True)
class Curve:
    """A training curve in a box of 100 x 100, y downwards.

    Attributes:
        title: Figure that it shows.
        points: `x,y` pairs, as SVG's polyline takes them.
        dots: (x, y, text) of every epoch.
        low: Value at the bottom of the box.
        high: Value at the top.
        first: Epoch at the left.
        last: Epoch at the right.
        best: x of the kept epoch; None if it is not in the curve.
    """

    title: str
    points: str
    dots: tuple[tuple[float, float, str], ...]
    low: float
    high: float
    first: int
    last: int
    best: float | None


@dataclass(frozen=True)
class Mark:
    """A calibrated threshold on a curve.

    Attributes:
        rate: The false-accept rate that it is stated for.
        stated: x of that rate.
        x: x of the rate that was measured.
        y: y of the true-accept rate there.
        measured: The threshold with its figures.
    """

    rate: str
    stated: float
    x: float
    y: float
    measured: MeasuredThreshold


@dataclass(frozen=True)
class AcceptChart:
    """The trade-off between accepting rightly and wrongly, in a box of 100 x 100: false-accept rates to the right, as logarithms.

    Attributes:
        name: Name of the operation.
        figures: What is drawn.
        candidate: `x,y` pairs of the trained model, as SVG's polyline takes them.
        untrained: The same of the untrained trunk.
        marks: The calibrated thresholds.
    """

    name: str
    figures: AcceptFigures
    candidate: str
    untrained: str
    marks: tuple[Mark, ...]


def accept_charts(report: Report) -> list[AcceptChart]:
    """The charts of verification and identification, as far as they were measured."""
    measured = {"Verification": report.verification, "Identification": report.identification}
    return [_accept_chart(name, figures) for name, figures in measured.items() if figures]


def _accept_chart(name: str, figures: AcceptFigures) -> AcceptChart:
    marks = tuple(
        Mark(rate, _x(float(rate)), _x(each.false_accept.value), _y(each.true_accept.value), each)
        for rate, each in sorted(figures.thresholds.items(), reverse=True)
    )
    return AcceptChart(name, figures, _steps(figures.candidate), _steps(figures.untrained), marks)


def _steps(rates: AcceptRates) -> str:
    return " ".join(f"{_x(point.false_accept)},{_y(point.true_accept)}" for point in rates.curve)


def _x(false_accept: float) -> float:
    left, right = math.log10(FALSE_ACCEPTS[0]), math.log10(FALSE_ACCEPTS[-1])
    return round(100 * (math.log10(max(false_accept, FALSE_ACCEPTS[0])) - left) / (right - left), 2)


def _y(share: float) -> float:
    return round(100 * (1 - share), 2)


def training_curves(training: TrainReport) -> list[Curve]:
    """The curves of MAP@R on held-out classes and of the training loss. A curve needs at least two epochs."""
    figures = [(epoch.epoch, epoch.map_at_r) for epoch in training.history]
    losses = [(epoch.epoch, epoch.loss) for epoch in training.history if epoch.loss is not None]
    curves = (("MAP@R on held-out classes", figures), ("Training loss", losses))
    return [_curve(title, points, training.best_epoch) for title, points in curves if len(points) > 1]


def _curve(title: str, points: Sequence[tuple[int, float]], best: int) -> Curve:
    epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
    low, high = min(values), max(values)
    margin = (high - low or abs(high) or 1.0) * 0.1
    low, high = low - margin, high + margin

    def x(epoch: int) -> float:
        return round(100 * (epoch - epochs[0]) / (epochs[-1] - epochs[0]), 2)

    points_in_box = [(x(epoch), round(100 * (high - value) / (high - low), 2)) for epoch, value in points]
    dots = tuple((*dot, f"epoch {epoch}: {value:.4f}") for dot, (epoch, value) in zip(points_in_box, points, strict=True))
    line = " ".join(f"{left},{top}" for left, top in points_in_box)
    return Curve(title, line, dots, low, high, epochs[0], epochs[-1], x(best) if best in epochs else None)
