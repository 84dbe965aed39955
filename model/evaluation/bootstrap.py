"""Percentile bootstrap intervals of figures (Efron and Tibshirani, 1993, chapter 13).

Images of one class are not independent: they show the same object, are each other's right answers, and tend to be easy or hard
together. Drawing single queries would therefore overstate the evidence. A retrieval model is judged on *classes* that it has not
seen, so whole classes are drawn with all their queries. With few classes any such interval is too narrow: read it with the number
of classes beside it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.evaluation.metrics import PerQuery

MAX_ELEMENTS = 2_000_000
"""Number of draws held in memory at a time, 16 MB for any number of queries."""


class PairedDifference(NamedTuple):
    """A mean difference of two models on the same queries, with its interval."""

    mean: float
    lower: float
    upper: float


def resampled_means(
    values: NDArray[np.float64], classes: NDArray[np.int64] | None, *, samples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """The means of `samples` resamples. All columns have the same resamples.

    Args:
        values: (Q, M), one column for each figure.
        classes: (Q,) class of each query, to draw whole classes; None to draw single queries. If there is only one class, its
            queries are drawn.
        samples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        (samples, M) float64; NaN if there are no queries.
    """
    if not len(values):
        return np.full((samples, values.shape[1]), np.nan)
    unit = np.arange(len(values)) if classes is None else np.unique(classes, return_inverse=True)[1]
    if unit.max() == 0:
        unit = np.arange(len(values))
    units = int(unit.max()) + 1
    size = np.bincount(unit, minlength=units)
    total = np.stack([np.bincount(unit, weights=column, minlength=units) for column in values.T], axis=1)
    random = np.random.default_rng(seed)
    step = max(1, MAX_ELEMENTS // units)
    means = []
    for start in range(0, samples, step):
        rows = min(step, samples - start)
        drawn = random.integers(units, size=(rows, units)) + np.arange(rows)[:, None] * units
        times = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)  # how often each unit was drawn
        means.append((times @ total) / (times @ size)[:, None])
    return np.concatenate(means)


def bootstrap_interval(
    values: NDArray[np.float64],
    classes: NDArray[np.int64] | None = None,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of the mean of `values` (Q,). Whole classes are drawn if `classes` (Q,) are given."""
    means = resampled_means(values[:, None], classes, samples=samples, seed=seed)
    lower, upper = percentiles(means, confidence)[:, 0]
    return float(lower), float(upper)


def paired_difference(
    candidate: PerQuery,
    other: PerQuery,
    *,
    figure: str = "map_at_r",
    by_class: bool = True,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """The mean of candidate minus other, query by query, with its interval.

    The difficulty of a query cancels out, so much smaller differences are visible than between two separate intervals.

    Raises:
        InvalidInput: The two were not evaluated on the same queries and gallery.
    """
    check_paired(candidate, other)
    difference = candidate.figures()[figure] - other.figures()[figure]
    classes = candidate.labels[candidate.has_match] if by_class else None
    lower, upper = bootstrap_interval(difference, classes, samples=samples, confidence=confidence, seed=seed)
    return PairedDifference(float(difference.mean()) if difference.size else float("nan"), lower, upper)


def check_paired(one: PerQuery, other: PerQuery) -> None:
    """Refuse to compare figures of different queries.

    Raises:
        InvalidInput: Ids, labels or the queries that have a match differ.
    """
    for name in ("ids", "labels", "has_match"):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            raise InvalidInput(
                f"The two evaluations are not of the same queries and gallery ({name} differ).",
                "Evaluate both models on the same data revision and split.",
            )


def percentiles(means: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """(2, M): the lower and the upper bound of each column of `means` (samples, M)."""
    tail = (1 - confidence) / 2
    bounds: NDArray[np.float64] = np.quantile(means, [tail, 1 - tail], axis=0)
    return bounds
