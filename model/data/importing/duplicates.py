"""Copies of an image: exact ones, found by the hash of their bytes, and near ones, found by their appearance."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.config import DataConfig
from model.data.importing.findings import Findings
from model.data.importing.samples import Samples
from model.data.importing.splits import DISTRACTOR, SCENE, TEST, TRAIN, VAL
from model.data.manifest import SPLITS

MOST_PAIRS = 100_000
_RANKS = np.argsort(np.array([TRAIN, VAL, DISTRACTOR, TEST, SCENE]))
"""Rank of each side. Of two copies the one on the higher-ranked side stays; the test side outranks the training side."""


def drop_conflicts(samples: Samples, identity: NDArray[np.int64], findings: Findings) -> None:
    """Leave out every image, or box of one, that is in several classes, with all its copies: no label can be trusted."""
    for group in _groups(identity, samples.keep):
        classes = len(np.unique(samples.labels[group]))
        if classes > 1:
            for row in group:
                twin = samples.name(int(group[1] if row == group[0] else group[0]))
                text = f"the same image as {twin}, in {classes} classes; all {len(group)} copies are left out"
                findings.drop("conflict", samples.name(int(row)), text)
            samples.keep[group] = False


def exact_copies(samples: Samples, identity: NDArray[np.int64], config: DataConfig, findings: Findings) -> None:
    """Name every image, or box of one, that is there twice, byte for byte.

    Copies in two classes are a defect, whatever their sides of the split, because one of the labels is wrong; with
    `data.conflicts=keep` they are treated as other copies. Copies on two sides of the split are a defect; with `data.leaks=drop`
    the copy on the training side is left out instead. Copies on one side are a warning.
    """
    for group in _groups(identity, samples.keep):
        if config.conflicts != "keep" and len(np.unique(samples.labels[group])) > 1:
            _name_conflicts(samples, group, findings)
            continue
        ranks = _RANKS[samples.sides[group]]
        last = ranks.max() if config.leaks == "drop" else 0
        remaining = group[ranks >= last]
        for row in group[ranks < last]:
            samples.keep[row] = False
            text = f"the same image as {samples.name(int(remaining[0]))}; left out of {SPLITS[samples.sides[row]]}"
            findings.drop("leak", samples.name(int(row)), text)
        for one, other in _pairs(remaining):
            _name_pair(samples, one, other, findings)


def _name_conflicts(samples: Samples, group: NDArray[np.int64], findings: Findings) -> None:
    """Name the pairs of a group that are in two classes. Leaks among its copies are looked for once their labels are mended."""
    for one, other in _pairs(group):
        if samples.labels[one] != samples.labels[other]:
            text = f"the same image as {samples.name(other)}; see data.conflicts"
            findings.defect("in two classes", samples.name(one), text)


def _name_pair(samples: Samples, one: int, other: int, findings: Findings) -> None:
    sides, twin = samples.sides, f"the same image as {samples.name(other)}"
    if sides[one] != sides[other]:
        text = f"{twin}, on both sides of the split: {SPLITS[sides[one]]} and {SPLITS[sides[other]]}"
        findings.defect("leak", samples.name(one), f"{text}; see data.leaks")
    elif samples.labels[one] == samples.labels[other]:
        findings.warn("copy", samples.name(one), f"{twin}, in one class")
    else:
        findings.warn("in two classes", samples.name(one), f"{twin}; both are kept")


def _groups(identity: NDArray[np.int64], keep: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Groups of two or more kept rows of one identity, in the order of their first rows."""
    counts = np.bincount(identity[keep], minlength=1)
    repeated = np.flatnonzero(keep & (counts[np.minimum(identity, len(counts) - 1)] > 1))
    order = repeated[np.argsort(identity[repeated], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(identity[order])) + 1)
    return sorted((group for group in groups if len(group)), key=lambda group: int(group[0]))


def _pairs(group: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Every pair of a small group; every row of a large group with the first row."""
    if len(group) > 50:
        return ((int(group[0]), int(other)) for other in group[1:])
    return ((int(one), int(other)) for first, one in enumerate(group) for other in group[first + 1 :])


def near_copies(samples: Samples, identity: NDArray[np.int64], findings: Findings) -> None:
    """Warn of each pair that looks the same and is in two classes or on two sides; exact copies were named before."""
    labels, sides = samples.labels, samples.sides
    count = 0
    for one, other in samples.inspection.appearances.alike(np.flatnonzero(samples.keep)):
        apart = ((labels[one] != labels[other]) | (sides[one] != sides[other])) & (identity[one] != identity[other])
        for left, right in zip(one[apart], other[apart], strict=True):
            count += 1
            if count > MOST_PAIRS:
                findings.warn("near duplicate", "and more", f"only the first {MOST_PAIRS} pairs are named")
                return
            findings.warn("near duplicate", samples.name(int(left)), f"looks like {samples.name(int(right))}")
