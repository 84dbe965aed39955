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
