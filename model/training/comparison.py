"""The comparison of two settings by their figures on held-out classes."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.schemas.train_report import SATURATED_MAP_AT_R
from model.training.validation import ClassFigures, mean

Criterion = Literal["map_at_r", "margin"]
"""A figure of `model.training.validation.Validation` by which settings are compared."""


def compared_figure(map_at_r: ClassFigures, counts: NDArray[np.int64]) -> Criterion:
    """The figure of `model.training.validation.Validation` to compare: `margin` where MAP@R of the init (C,) is saturated."""
    return "margin" if mean(map_at_r, counts) >= SATURATED_MAP_AT_R else "map_at_r"


def clearly_better(one: ClassFigures, other: ClassFigures, counts: NDArray[np.int64]) -> bool:
    """Whether the mean over queries is better by more than one standard error of the paired difference over classes.

    This is the one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3).

    Args:
        one: (C,) figures of one setting, by class.
        other: (C,) figures of the other setting.
        counts: (C,) queries of each class.
    """
    weights, difference = counts / counts.sum(), one - other
    gain = float(weights @ difference)
    if len(counts) == 1:
        return gain > 0
    error = np.sqrt(len(counts) / (len(counts) - 1) * float(weights**2 @ (difference - gain) ** 2))
    return bool(gain > max(error, 1e-9))
