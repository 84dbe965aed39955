"""Verification and open-set identification on the test classes: what is accepted at which threshold, rightly and wrongly.

Verification says whether two images show the same thing: a pair is accepted if its similarity, less the offsets of both images
where the release has a cohort, is above a threshold. False-accept rate: the share of pairs of two classes that are accepted;
true-accept rate: that of pairs of one class.

Identification names an image after the nearest item of a gallery, or says 'unknown'. For the false-accept rate each query stands
for a thing that is not in the gallery: its own class is left out, and it is accepted if an item of another class is above the
threshold. For the true-accept rate its class is there, and the nearest item must be of it as well. (The rates are NIST's FPIR and
TPIR: Grother et al., Face Recognition Vendor Test part 2, 2019.)

Attempts are counted between a few thousand thresholds, so memory does not grow with the number of pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.spread import evenly
from model.evaluation.bootstrap import percentiles
from model.evaluation.calibration import FALSE_ACCEPT_RATES
from model.evaluation.metrics import MAX_ELEMENTS, EmbeddedSamples, PerQuery
from model.schemas.accept_rates import AcceptFigures, AcceptRates, CurvePoint, MeasuredThreshold
from model.schemas.figures import Bootstrap, Figure

QUERIES = 2000
"""Most queries whose pairs are compared; more add pairs of the same classes."""
_THRESHOLDS = np.linspace(-1.5, 1.5, 4001)
"""Thresholds that are counted at, beside the calibrated ones."""
_BLOCKS = 256
"""Most units of the bootstrap: more classes are dealt to so many blocks, each of which is drawn whole."""
_CURVE = np.concatenate([[0.0], np.geomspace(1e-4, 1, 81)])
"""False-accept rates of the points of a curve."""
_RESAMPLES = 100
"""Resamples that are counted at a time."""


@dataclass(frozen=True)
class Accepted:
    """Numbers of attempts that are accepted at each threshold, by block of classes.

    Attributes:
        thresholds: (T,) ascending, the last one infinite.
        genuine: (U, T) attempts that should be accepted and are.
        genuine_total: (U,) attempts that should be accepted.
        impostor: (U, T) attempts that should be refused and are accepted.
        impostor_total: (U,) attempts that should be refused.
    """

    thresholds: NDArray[np.float64]
    genuine: NDArray[np.int64]
    genuine_total: NDArray[np.int64]
    impostor: NDArray[np.int64]
    impostor_total: NDArray[np.int64]


def verification(
    gallery: EmbeddedSamples,
    *,
    queries: int | None = None,
    calibrated: Mapping[str, float] | None = None,
    offsets: NDArray[np.float32] | None = None,
) -> Accepted:
    """Compare queries with all samples. Two samples of one id are no pair.

    Args:
        gallery: The samples.
        queries: Number of first samples that are queries; by default all.
        calibrated: Thresholds by their stated rate, at which is counted exactly.
        offsets: (N,) offsets of the samples, by which the similarity of a pair is less; None: it is compared as it is.
    """
    less = np.zeros(len(gallery), np.float32) if offsets is None else offsets
    rows = evenly(len(gallery) if queries is None else queries, QUERIES)
    thresholds, blocks = _thresholds(calibrated), _blocks(gallery.labels[rows])
    counts = np.zeros((2, blocks.max() + 1, len(thresholds) + 1), np.int64)
    step = max(1, MAX_ELEMENTS // len(gallery))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        scores = gallery.vectors[part] @ gallery.vectors.T - less[part][:, None] - less[None, :]
        places = np.searchsorted(thresholds, scores)
        for row, place, block in zip(part, places, blocks[start : start + step], strict=True):
            same, other = gallery.labels == gallery.labels[row], gallery.ids != gallery.ids[row]
            for kind, some in enumerate((same & other, ~same & other)):
                counts[kind, block] += np.bincount(place[some], minlength=counts.shape[2])
    return _accepted(thresholds, *counts)


def identification(found: PerQuery, *, calibrated: Mapping[str, float] | None = None) -> Accepted:
    """Name queries after their nearest item. `found` is what `evaluate_queries` found; for `calibrated` see `verification`."""
    thresholds, blocks = _thresholds(calibrated), _blocks(found.labels)
    named = np.where(found.best_right > found.best_wrong, found.best_right, -np.inf)
    counts = np.zeros((2, blocks.max() + 1, len(thresholds) + 1), np.int64)
    for count, scores, used in zip(counts, (named, found.best_wrong), (found.has_match, found.best_wrong > -np.inf), strict=True):
        np.add.at(count, (blocks[used], np.searchsorted(thresholds, scores[used])), 1)
    return _accepted(thresholds, *counts)


def accept_figures(
    candidate: Accepted, untrained: Accepted, calibrated: Mapping[str, float], bootstrap: Bootstrap, *, equal_error: bool
) -> AcceptFigures | None:
    """The figures with their intervals; None if there is nothing to accept, or nothing to refuse.

    Args:
        candidate: Counts of the trained model, at the calibrated thresholds among others.
        untrained: Counts of the untrained trunk.
        calibrated: The release's thresholds by their stated false-accept rate.
        bootstrap: Settings of the intervals. It draws whole classes; a pair is of its query's class.
        equal_error: Whether the equal error rate has a meaning: in verification.
    """
    genuine, impostors = int(candidate.genuine_total.sum()), int(candidate.impostor_total.sum())
    if not genuine or not impostors:
        return None
    measured = _measured(candidate, list(calibrated.values()), bootstrap)
    rates, false_accept, true_accept = measured[: 1 + len(FALSE_ACCEPT_RATES)], *_halves(measured[1 + len(FALSE_ACCEPT_RATES) :])
    return AcceptFigures(
        genuine=genuine,
        impostors=impostors,
        candidate=_rates(candidate, rates, equal_error),
        untrained=_rates(untrained, _measured(untrained, [], bootstrap), equal_error),
        thresholds={
            rate: MeasuredThreshold(threshold=threshold, false_accept=wrongly, true_accept=rightly)
            for (rate, threshold), wrongly, rightly in zip(calibrated.items(), false_accept, true_accept, strict=True)
        },
    )


def _halves(figures: list[Figure]) -> tuple[list[Figure], list[Figure]]:
    return figures[: len(figures) // 2], figures[len(figures) // 2 :]


def _rates(counts: Accepted, figures: list[Figure], equal_error: bool) -> AcceptRates:
    return AcceptRates(
        eer=figures[0] if equal_error else None,
        true_accept_at={
            str(rate): figure
            for rate, figure in zip(FALSE_ACCEPT_RATES, figures[1:], strict=True)
            if rate * counts.impostor_total.sum() >= 1
        },
        curve=_curve(counts),
    )


def _measured(counts: Accepted, calibrated: Sequence[float], bootstrap: Bootstrap) -> list[Figure]:
    """The equal error rate, the true-accept rate at each of `FALSE_ACCEPT_RATES`, the false-accept rate at each calibrated
    threshold, and the true-accept rate there."""
    units = len(counts.genuine_total)
    places = np.searchsorted(counts.thresholds, calibrated)
    drawn = np.random.default_rng(bootstrap.seed).multinomial(units, np.full(units, 1 / units), size=bootstrap.samples)
    values = _columns(np.ones((1, units)), counts, places)[0]
    draws = np.concatenate(
        [_columns(drawn[at : at + _RESAMPLES], counts, places) for at in range(0, bootstrap.samples, _RESAMPLES)]
    )
    return [_figure(value, column, bootstrap) for value, column in zip(values, draws.T, strict=True)]


def _columns(times: NDArray[np.number], counts: Accepted, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """What `_measured` lists, for blocks drawn `times` (S, U) each: (S, M)."""
    with np.errstate(invalid="ignore"):  # where a resample has nothing to accept
        false_accept = (times @ counts.impostor.astype(np.float64)) / (times @ counts.impostor_total)[:, None]
        true_accept = (times @ counts.genuine.astype(np.float64)) / (times @ counts.genuine_total)[:, None]
    rows, nearest = np.arange(len(times)), np.abs(false_accept + true_accept - 1).argmin(axis=1)
    equal = (false_accept[rows, nearest] + 1 - true_accept[rows, nearest]) / 2
    at_rates = [true_accept[rows, (false_accept <= rate).argmax(axis=1)] for rate in FALSE_ACCEPT_RATES]
    return np.column_stack([equal, *at_rates, false_accept[:, places], true_accept[:, places]])


def _curve(counts: Accepted) -> tuple[CurvePoint, ...]:
    false_accept = counts.impostor.sum(axis=0) / counts.impostor_total.sum()
    true_accept = counts.genuine.sum(axis=0) / counts.genuine_total.sum()
    places = sorted({int((false_accept <= rate).argmax()) for rate in _CURVE}, reverse=True)
    return tuple(
        CurvePoint(threshold=counts.thresholds[place], false_accept=false_accept[place], true_accept=true_accept[place])
        for place in places
        if np.isfinite(counts.thresholds[place])
    )


def _figure(value: float, draws: NDArray[np.float64], bootstrap: Bootstrap) -> Figure:
    known = draws[np.isfinite(draws)]
    lower, upper = percentiles(known[:, None], bootstrap.confidence)[:, 0] if len(known) else (value, value)
    return Figure(value=float(value), lower=float(lower), upper=float(upper))


def _thresholds(calibrated: Mapping[str, float] | None) -> NDArray[np.float64]:
    return np.unique([*_THRESHOLDS, *(calibrated or {}).values(), np.inf])


def _blocks(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The block (Q,) of each query: that of its class; single queries are dealt out where there is only one class."""
    classes = np.unique(labels, return_inverse=True)[1]
    return (classes if classes.max(initial=0) else np.arange(len(labels))) % _BLOCKS


def _accepted(thresholds: NDArray[np.float64], genuine: NDArray[np.int64], impostor: NDArray[np.int64]) -> Accepted:
    """From numbers of attempts between thresholds, (U, T + 1), those below the lowest one first."""
    above = [np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] for counts in (genuine, impostor)]
    (genuine, genuine_total), (impostor, impostor_total) = ((each[:, 1:], each[:, 0]) for each in above)
    return Accepted(thresholds, genuine, genuine_total, impostor, impostor_total)
