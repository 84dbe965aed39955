"""Where votes agree: a Hough transform of each exemplar's votes over size, rotation and position (Lowe, IJCV 2004).

The seeds that it returns are thinned: they must spread over the scene, over labels and over exemplars, as each costs a fit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.detection.voting import Votes

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

TURNS = 12
"""Bins of rotation in a circle."""
STEP = 0.25
"""Side of a bin of position, as a share of the object's size."""
LEAST = 3
"""Least votes of a bin, of different keypoints."""
SEEDS = 250
"""Maximum seeds of a scene."""
_VISITED = 3000
_NEAR = 0.3
_SAME_SIZE = 0.6
_OF_LABEL, _OF_EXEMPLAR, _OF_ANY = 4, 1, 24
_RELIEF = 50.0
_MOSTLY = 0.5


@dataclass(frozen=True)
class Seeds:
    """S rough similarities, best first.

    Attributes:
        exemplars: (S,) rows of the exemplars.
        sizes: (S,) float32, size of the object in pixels.
        turns: (S,) float32, in radians.
        middles: (S, 2) float32, in pixels.
    """

    exemplars: Rows
    sizes: Floats
    turns: Floats
    middles: Floats

    def __len__(self) -> int:
        return len(self.exemplars)


def find_seeds(votes: Votes, labels: Rows, counts: Rows, limit: int = SEEDS) -> Seeds:
    """The best bins of all exemplars' votes, thinned.

    Args:
        votes: The votes, sorted by exemplar.
        labels: (N,) label of each exemplar.
        counts: (N,) keypoints of each exemplar. Many keypoints give more votes, so a bin's weight is held against their root.
        limit: Maximum seeds.
    """
    rows, keys = _binned(votes)
    bins, starts, members = _grouped(rows, keys, votes)
    if not len(bins):
        nothing = np.empty(0, np.float32)
        return Seeds(np.empty(0, np.int64), nothing, nothing, np.empty((0, 2), np.float32))
    weights = votes.weights[members].astype(np.float64)
    totals = np.add.reduceat(weights, starts[:-1])
    exemplars = votes.exemplars[members[starts[:-1]]]
    merit = totals / np.sqrt(counts[exemplars] + _RELIEF)
    poses = _poses(votes, members, weights, starts, totals)
    order = np.argsort(-merit, kind="stable")[:_VISITED]
    kept = _thinned(votes, labels, exemplars, poses, members, starts, order, limit)
    return Seeds(exemplars[kept], np.exp2(poses[kept, 0]), poses[kept, 1], poses[kept, 2:])


def _binned(votes: Votes) -> tuple[Rows, Rows]:
    """Every vote in the two nearest bins of each dimension: (16 V,) rows of votes and keys of bins."""
    octaves = np.log2(votes.sizes)
    turns = votes.turns / (2 * np.pi) * TURNS
    rows, keys = [], []
    everyone = np.arange(len(votes))
    for octave in (np.floor(octaves), np.floor(octaves) + 1):
        side = STEP * np.exp2(octave)
        x, y = (votes.middles / side[:, None]).T
        for turn in (np.floor(turns), np.floor(turns) + 1):
            for left in (np.floor(x - 0.5), np.floor(x + 0.5)):
                for top in (np.floor(y - 0.5), np.floor(y + 0.5)):
                    key = votes.exemplars.astype(np.int64)
                    for value, room in ((octave + 4, 32), (turn % TURNS, TURNS), (left + 1, 2**14), (top + 1, 2**14)):
                        key = key * room + np.clip(value, 0, room - 1).astype(np.int64)
                    rows.append(everyone)
                    keys.append(key)
    return np.concatenate(rows), np.concatenate(keys)


def _grouped(rows: Rows, keys: Rows, votes: Votes) -> tuple[Rows, Rows, Rows]:
    """Bins with at least `LEAST` keypoints: their keys, the starts of their members (with the end), and the members."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    large = sizes >= LEAST
    member = np.repeat(large, sizes)
    keys, rows = keys[member], rows[member]
    if not len(keys):
        return keys, np.zeros(1, np.int64), rows
    points = votes.points[rows]
    order = np.lexsort((points, keys))
    keys, rows, points = keys[order], rows[order], points[order]
    first = np.r_[True, keys[1:] != keys[:-1]]
    fresh = first | np.r_[True, points[1:] != points[:-1]]
    starts = np.flatnonzero(first)
    enough = np.add.reduceat(fresh.astype(np.int64), starts) >= LEAST
    sizes = np.diff(np.r_[starts, len(keys)])
    member = np.repeat(enough, sizes)
    return keys[starts[enough]], np.concatenate([[0], np.cumsum(sizes[enough])]), rows[member]


def _poses(votes: Votes, members: Rows, weights: NDArray[np.float64], starts: Rows, totals: NDArray[np.float64]) -> Floats:
    """The weighted mean of each bin's votes: (bins, 4) octave, turn, x, y."""
    turns = votes.turns[members]
    columns = [np.log2(votes.sizes[members]), np.cos(turns), np.sin(turns), *votes.middles[members].T]
    octave, cos, sin, x, y = (np.add.reduceat(weights * column, starts[:-1]) / totals for column in columns)
    return np.stack([octave, np.arctan2(sin, cos), x, y], axis=1).astype(np.float32)


def _thinned(
    votes: Votes, labels: Rows, exemplars: Rows, poses: Floats, members: Rows, starts: Rows, order: Rows, limit: int
) -> Rows:
    """The bins of `order` that are not too near to others: see the module."""
    used = np.zeros(len(votes), bool)
    first = np.searchsorted(votes.exemplars, np.arange(len(labels) + 1))
    kept: list[int] = []
    found = np.empty((limit, 5), np.float32)  # octave, x, y, label, exemplar
    for number in order:
        inside = members[starts[number] : starts[number + 1]]
        if used[inside].mean() > _MOSTLY:
            continue
        octave, _, x, y = poses[number].tolist()
        exemplar, size = int(exemplars[number]), 2.0**octave
        label = int(labels[exemplar])
        others = found[: len(kept)]
        near = (np.abs(others[:, 1] - x) + np.abs(others[:, 2] - y) < 1.3 * _NEAR * size) & (
            np.abs(others[:, 0] - octave) < _SAME_SIZE
        )
        close = others[near]
        if len(close) >= _OF_ANY or (close[:, 3] == label).sum() >= _OF_LABEL or (close[:, 4] == exemplar).sum() >= _OF_EXEMPLAR:
            continue
        found[len(kept)] = octave, x, y, label, exemplar
        kept.append(int(number))
        own = slice(first[exemplar], first[exemplar + 1])
        away = np.abs(votes.middles[own] - poses[number, 2:]).max(axis=1)
        used[own] |= (away < _NEAR * size) & (np.abs(np.log2(votes.sizes[own]) - octave) < 1)
        if len(kept) == limit:
            break
    return np.array(kept, np.int64)
