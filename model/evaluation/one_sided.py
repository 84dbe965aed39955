"""One-sided confidence bounds of a mean paired difference, by which the gate compares a candidate with the champion.

Whole classes are the units, as in `model.evaluation.bootstrap`. With few classes the percentile bootstrap is too narrow: with ten
of them, equal models differed "at level 0.05" in 7 to 10 of 100 simulated pairs. The bound is therefore the more cautious of two:
that of the bootstrap, and that of Student's t with the delete-one-class jackknife's standard error (Efron and Tibshirani, 1993,
chapter 11).
`benchmarks.gate` measures how often equal models pass.
"""

import numpy as np
from numpy.typing import NDArray

from model.evaluation.bootstrap import resampled_means


def lower_bound(
    differences: NDArray[np.float64], classes: NDArray[np.int64], *, level: float, samples: int = 1000, seed: int = 0
) -> float:
    """The value that the mean difference exceeds with confidence 1 - `level`.

    Args:
        differences: (Q,) candidate minus champion, query by query.
        classes: (Q,) class of each query. If there is only one class, its queries are the units.
        level: Probability of a bound above the true mean.
        samples: Number of resamples of the bootstrap.
        seed: Seed of the resamples.

    Returns:
        The bound; minus infinity for a single query, NaN without queries or if a difference is not finite.
    """
    if not differences.size or not np.isfinite(differences).all():
        return float("nan")
    unit = np.unique(classes, return_inverse=True)[1]
    if unit.max() == 0:
        unit = np.arange(len(differences))
    if unit.max() == 0:
        return -np.inf
    means = resampled_means(differences[:, None], unit, samples=samples, seed=seed)
    return float(min(np.quantile(means, level), _jackknife_bound(differences, unit, level)))


def group_upper_bounds(
    differences: NDArray[np.float64], classes: NDArray[np.int64], groups: NDArray[np.int64], *, level: float
) -> NDArray[np.float64]:
    """The values that the groups' mean differences all stay below with confidence 1 - `level`.

    A group has too few classes to tell how much its classes vary. They are taken to vary alike in all groups (one-way analysis
    of variance), and each group is judged at `level` divided by the number of groups (Bonferroni). Where every group is one
    class, the queries are the units instead.

    Args:
        differences: (Q,) candidate minus champion, query by query.
        classes: (Q,) class of each query.
        groups: (Q,) group of each query, from 0 to G - 1; the queries of one class may be of several groups.
        level: Probability that one bound or more lies below the true mean of its group.

    Returns:
        (G,) the bounds: NaN for a group whose differences are not all finite, infinity where nothing shows how the units vary.
    """
    pairs = np.unique(np.stack([groups, classes]), axis=1, return_inverse=True)[1].ravel()
    unit = pairs if pairs.max() > groups.max() else np.arange(len(differences))
    queries, sizes = np.bincount(unit), np.bincount(groups)
    group_of = groups[np.unique(unit, return_index=True)[1]]
    unit_means = np.bincount(unit, weights=differences) / queries
    means = np.bincount(groups, weights=differences) / sizes
    finite = np.isfinite(means)
    judged = finite[group_of]
    freedom = int(judged.sum() - finite.sum())
    if freedom < 1:
        return np.where(finite, np.inf, np.nan)
    variance = np.sum((unit_means[judged] - means[group_of[judged]]) ** 2) / freedom
    errors = np.sqrt(variance * np.bincount(group_of, weights=queries**2)) / sizes
    bounds: NDArray[np.float64] = means + _student(freedom, 1 - level / len(sizes)) * errors
    return np.where(finite, bounds, np.nan)


def _jackknife_bound(differences: NDArray[np.float64], unit: NDArray[np.int64], level: float) -> float:
    total, size = np.bincount(unit, weights=differences), np.bincount(unit)
    units = len(size)
    left_out = (total.sum() - total) / (size.sum() - size)
    error = np.sqrt((units - 1) / units * np.sum((left_out - left_out.mean()) ** 2))
    return float(differences.mean() - _student(units - 1, 1 - level) * error)


def _student(freedom: int, probability: float) -> float:
    """Quantile of Student's t."""
    from scipy.special import stdtrit  # slow to import: a rollback, which compares nothing, does not wait for it

    return float(stdtrit(freedom, probability))
