"""Samples of rows that are spread evenly over the classes."""

import numpy as np
from numpy.typing import NDArray


def spread(labels: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """At most `count` random rows of labels (N,), one of each class before a second of any."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    order = np.argsort(labels[rows], kind="stable")
    grouped = labels[rows][order]
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - np.searchsorted(grouped, grouped)
    return rows[np.argsort(turn, kind="stable")][:count]


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of `count` rows, ascending, at equal distances."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64)) if count else np.empty(0, np.int64)
