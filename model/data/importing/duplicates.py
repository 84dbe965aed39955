"""Copies of an image: exact ones, found by the hash of their bytes, and near ones, found by their appearance."""

from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from model.config import DataConfig
from model.data.importing.checks import Inspection
from model.data.importing.findings import Findings
from model.data.importing.samples import Samples
from model.data.importing.splits import DISTRACTOR, SCENE, TEST, TRAIN, VAL
from model.data.manifest import SPLITS

BITS = 6
"""Maximum number of the 64 bits of two difference hashes that may differ."""
CORRELATION = 0.97
"""Least correlation of two grey thumbnails; flat ones, which correlate with nothing, must have the same grey instead."""
FLAT = 2.0
"""Standard deviation of a thumbnail's greys below which it is flat, and the maximum difference of two equal greys."""
COLOUR = 24
"""Maximum difference of two mean colours in each channel, of 255."""
QUERIES = 64
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
    for one, other in _alike(samples.inspection, np.flatnonzero(samples.keep)):
        apart = ((labels[one] != labels[other]) | (sides[one] != sides[other])) & (identity[one] != identity[other])
        for left, right in zip(one[apart], other[apart], strict=True):
            count += 1
            if count > MOST_PAIRS:
                findings.warn("near duplicate", "and more", f"only the first {MOST_PAIRS} pairs are named")
                return
            findings.warn("near duplicate", samples.name(int(left)), f"looks like {samples.name(int(right))}")


def _alike(inspection: Inspection, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rows that look the same, the smaller row first: hashes that are near, then alike thumbnails and colours."""
    if not len(rows):
        return
    index = faiss.IndexBinaryFlat(64)
    hashes = np.ascontiguousarray(inspection.dhash[rows])
    index.add(hashes)
    for start in range(0, len(rows), QUERIES):
        limits, _, hits = index.range_search(hashes[start : start + QUERIES], BITS + 1)
        queries = np.repeat(np.arange(start, start + len(limits) - 1), np.diff(limits.astype(np.int64)).astype(np.int64))
        later = hits > queries
        one, other = rows[queries[later]], rows[hits[later]]
        for part in range(0, len(one), 65536):
            left, right = one[part : part + 65536], other[part : part + 65536]
            same = _looks_same(inspection, left, right)
            yield left[same], right[same]


def _looks_same(inspection: Inspection, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(P,) whether two thumbnails agree: by their correlation, or by their grey if both are flat."""
    colour = np.abs(inspection.colours[one].astype(np.int16) - inspection.colours[other]).max(1, initial=0) <= COLOUR
    one, other = one[colour], other[colour]
    left, right = inspection.thumbs[one].astype(np.float32), inspection.thumbs[other].astype(np.float32)
    means = left.mean(1, keepdims=True), right.mean(1, keepdims=True)
    left, right = left - means[0], right - means[1]
    spread = np.sqrt((left**2).mean(1)), np.sqrt((right**2).mean(1))
    correlation = (left * right).mean(1) / np.maximum(spread[0] * spread[1], 1e-6)
    flat = np.maximum(*spread) < FLAT
    same_grey = np.abs(means[0] - means[1])[:, 0] <= FLAT
    colour[colour] = np.where(flat, same_grey, correlation >= CORRELATION)
    return colour
