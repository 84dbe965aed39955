"""Fitting: an affine map from each seed's exemplar into the scene, by weighted least squares in rounds of shrinking tolerance.

All seeds are fitted together. A map starts as a similarity; with enough inliers it becomes affine, held towards the similarity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.detection.hough import Seeds
from model.detection.voting import Votes

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Doubles = NDArray[np.float64]

TOLERANCES = (0.22, 0.16, 0.12, 0.08, 0.06)
"""Largest distance of an inlier in each round, as a share of the object's size."""
AFFINE_FROM = 6
"""Least inliers of an affine map."""
LEAST = 3
"""Least inliers of a hypothesis."""
STRETCH = 2.0
"""Largest factor between the scales of a map in two directions."""
_MOST = 320
_HOLD = 0.02
"""Weight of the similarity in the affine fit, as a share of the inliers' weight."""


@dataclass(frozen=True)
class Hypotheses:
    """H places at which an exemplar may be.

    Attributes:
        exemplars: (H,) rows of the exemplars.
        transforms: (H, 2, 3) float32, from the exemplar's units to pixels of the scene.
        matches: (M,) rows of votes, those of one hypothesis one after the other; each keypoint of scene and exemplar once.
        owners: (M,) row of the hypothesis of each match, ascending.
    """

    exemplars: Rows
    transforms: Floats
    matches: Rows
    owners: Rows

    def __len__(self) -> int:
        return len(self.exemplars)

    @property
    def inliers(self) -> Rows:
        """(H,) number of matches of each hypothesis."""
        return np.bincount(self.owners, minlength=len(self))


def fit(seeds: Seeds, votes: Votes, units: Floats, scene: Floats) -> Hypotheses:
    """Fit a map to each seed; seeds without a plausible map are left out.

    Args:
        seeds: Rough similarities.
        votes: Votes, sorted by exemplar.
        units: (K, 2) positions of the exemplars' keypoints, in their units.
        scene: (P, 2) positions of the scene's keypoints in pixels.
    """
    rows, valid = _candidates(seeds, votes)
    source = units[votes.features[rows]].astype(np.float64)
    target = scene[votes.points[rows]].astype(np.float64)
    weights = np.where(valid, votes.weights[rows], 0).astype(np.float64)
    linear, shift = _similarity_of(seeds)
    inlying = valid
    for tolerance in TOLERANCES:
        inlying = weights * _within(linear, shift, source, target, tolerance) > 0
        linear, shift = _refined(source, target, weights * inlying, linear, shift)
    inlying = weights * _within(linear, shift, source, target, TOLERANCES[-1]) > 0
    transforms = np.concatenate([linear, shift[:, :, None]], axis=2).astype(np.float32)
    owners, columns = np.nonzero(inlying)
    matches = rows[owners, columns]
    kept = _one_to_one(owners, matches, votes)
    owners, matches = owners[kept], matches[kept]
    distinct = np.bincount(owners[_distinct(owners, scene[votes.points[matches]])], minlength=len(seeds))
    good = (distinct >= LEAST) & _plausible(linear)
    number = np.cumsum(good) - 1
    mine = good[owners]
    return Hypotheses(seeds.exemplars[good], transforms[good], matches[mine], number[owners[mine]])


def _candidates(seeds: Seeds, votes: Votes) -> tuple[Rows, NDArray[np.bool_]]:
    """(S, M) rows of the votes of each seed's exemplar that roughly agree with it, heaviest first, and which of them are real."""
    first = np.searchsorted(votes.exemplars, seeds.exemplars)
    last = np.searchsorted(votes.exemplars, seeds.exemplars, side="right")
    found = []
    for number in range(len(seeds)):
        own = slice(first[number], last[number])
        away = np.abs(votes.middles[own] - seeds.middles[number]).max(axis=1)
        turned = np.abs((votes.turns[own] - seeds.turns[number] + np.pi) % (2 * np.pi) - np.pi)
        near = (away < 0.8 * seeds.sizes[number]) & (turned < 0.8)
        near &= np.abs(np.log2(votes.sizes[own] / seeds.sizes[number])) < 1
        mine = np.flatnonzero(near) + first[number]
        found.append(mine[np.argsort(-votes.weights[mine], kind="stable")][:_MOST])
    most = max((len(mine) for mine in found), default=0)
    rows, valid = np.zeros((len(seeds), most), np.int64), np.zeros((len(seeds), most), bool)
    for number, mine in enumerate(found):
        rows[number, : len(mine)], valid[number, : len(mine)] = mine, True
    return rows, valid


def _similarity_of(seeds: Seeds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cos, sin = seeds.sizes * np.cos(seeds.turns), seeds.sizes * np.sin(seeds.turns)
    linear = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    return linear.astype(np.float64), seeds.middles.astype(np.float64)


def _within(linear: Doubles, shift: Doubles, source: Doubles, target: Doubles, tolerance: float) -> NDArray[np.bool_]:
    """(S, M), whether each match is within the tolerance of its map."""
    away = np.einsum("sij,smj->smi", linear, source) + shift[:, None] - target
    size = np.sqrt(np.abs(np.linalg.det(linear)))
    return (away**2).sum(axis=2) < (tolerance * size[:, None]) ** 2


def _refined(source: Doubles, target: Doubles, weights: Doubles, linear: Doubles, shift: Doubles) -> tuple[Doubles, Doubles]:
    """The maps that fit the weighted matches; a map with too few of them stays."""
    count = (weights > 0).sum(axis=1)
    total = np.maximum(weights.sum(axis=1), 1e-12)
    from_mean = np.einsum("sm,smi->si", weights, source) / total[:, None]
    to_mean = np.einsum("sm,smi->si", weights, target) / total[:, None]
    u, v = source - from_mean[:, None], target - to_mean[:, None]
    spread = np.einsum("sm,smi,smj->sij", weights, u, u)
    cross = np.einsum("sm,smi,smj->sij", weights, v, u)
    trace = spread[:, 0, 0] + spread[:, 1, 1]
    enough = (count >= 2) & (trace > 1e-6 * total)
    safe = np.where(enough, trace, 1.0)
    a = (cross[:, 0, 0] + cross[:, 1, 1]) / safe
    b = (cross[:, 1, 0] - cross[:, 0, 1]) / safe
    similar = np.stack([np.stack([a, -b], axis=1), np.stack([b, a], axis=1)], axis=1)
    hold = _HOLD * total[:, None, None] * np.eye(2)
    affine = np.linalg.solve(spread + hold, np.swapaxes(cross + similar @ hold, 1, 2))
    chosen = np.where((count >= AFFINE_FROM)[:, None, None], np.swapaxes(affine, 1, 2), similar)
    linear = np.where(enough[:, None, None], chosen, linear)
    shift = np.where(enough[:, None], to_mean - np.einsum("sij,sj->si", linear, from_mean), shift)
    return linear, shift


def _plausible(linear: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each map is not mirrored, not flat and not stretched."""
    stretch = np.linalg.svd(linear, compute_uv=False)
    return (np.linalg.det(linear) > 0) & (stretch[:, 0] < STRETCH * stretch[:, 1])


def _one_to_one(owners: Rows, matches: Rows, votes: Votes) -> NDArray[np.bool_]:
    """Whether each match is the heaviest of its hypothesis' for its keypoint of the scene, and then for that of the exemplar."""
    kept = np.ones(len(owners), bool)
    for ends in (votes.points, votes.features):
        rows = np.flatnonzero(kept)
        order = rows[np.lexsort((-votes.weights[matches[rows]], ends[matches[rows]], owners[rows]))]
        same = (owners[order][1:] == owners[order][:-1]) & (ends[matches[order]][1:] == ends[matches[order]][:-1])
        kept[order[1:][same]] = False
    return kept


def _distinct(owners: Rows, positions: Floats) -> Rows:
    """Matches of one hypothesis at different pixels: a keypoint of two orientations counts once."""
    whole = np.round(positions).astype(np.int64)
    return np.unique(np.stack([owners, whole[:, 0], whole[:, 1]], axis=1), axis=0, return_index=True)[1]
