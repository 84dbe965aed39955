"""Votes: every keypoint of a scene votes for the exemplars whose keypoints look like it, and for where these then are.

A vote weighs what its match is better than the best match with the background (Boiman, Shechtman and Irani, CVPR 2008; local
naive Bayes nearest neighbour: McCann and Lowe, CVPR 2012). All exemplars are searched at once. Where no background is known,
the last of a keypoint's neighbours stands for it.
"""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from model.detection.exemplars import Exemplars
from model.detection.keypoints import Keypoints

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

NEIGHBOURS = 12
"""Exemplar descriptors that a keypoint is matched with."""
RESCALE = 4.0
"""Largest factor between the size of an object in a scene and its size in its exemplar's image."""


@dataclass(frozen=True)
class Votes:
    """V votes.

    Attributes:
        points: (V,) rows of the scene's keypoints.
        features: (V,) rows of the exemplars' keypoints.
        exemplars: (V,) rows of the exemplars, ascending.
        weights: (V,) float32, above 0.
        sizes: (V,) float32, size of the object in pixels of the scene.
        turns: (V,) float32, rotation from the exemplar to the scene in radians.
        middles: (V, 2) float32, middle of the object in the scene.
    """

    points: Rows
    features: Rows
    exemplars: Rows
    weights: Floats
    sizes: Floats
    turns: Floats
    middles: Floats

    def __len__(self) -> int:
        return len(self.points)

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Votes":
        """Some of the votes."""
        return Votes(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class Voters:
    """The indexed keypoints of exemplars, and of the background."""

    def __init__(self, exemplars: Exemplars) -> None:
        self.exemplars = exemplars
        self.owners = exemplars.owners
        self._objects = _index(exemplars.descriptors)
        self._background = _index(exemplars.background)

    def vote(self, scene: Keypoints, extent: tuple[int, int]) -> Votes:
        """The votes of a scene's keypoints, within an image of `extent` (width, height), sorted by exemplar."""
        exemplars = self.exemplars
        vectors = exemplars.axes.project(scene.descriptors)
        distances, found = self._objects.search(vectors, min(NEIGHBOURS, self._objects.ntotal))
        worst = self._nearest_background(vectors) if self._background.ntotal else distances[:, -1]
        weights = worst[:, None] - distances
        rows, columns = np.nonzero((weights > 0) & (found >= 0))
        features = found[rows, columns]
        owners = self.owners[features]
        growth = scene.scales[rows] / exemplars.scales[features]
        turns = scene.angles[rows] - exemplars.angles[features]
        cos, sin = growth * np.cos(turns), growth * np.sin(turns)
        x, y = exemplars.positions[features].T
        middles = scene.positions[rows] - np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
        ratio = growth / exemplars.sizes[owners]
        kept = (ratio <= RESCALE) & (ratio >= 1 / RESCALE)
        kept &= (middles > 0).all(axis=1) & (middles < np.array(extent)).all(axis=1)
        votes = Votes(rows, features, owners, weights[rows, columns], growth, turns, middles).select(kept)
        return votes.select(np.argsort(votes.exemplars, kind="stable"))

    def _nearest_background(self, vectors: Floats) -> Floats:
        """The squared distance of each descriptor to the nearest one of the background."""
        return np.asarray(self._background.search(vectors, 1)[0][:, 0], np.float32)


_PER_LIST, _MOST_LISTS, _PROBED = 100, 2048, 32
"""Descriptors of an inverted list, maximum lists, and lists that are searched: almost all votes in a fraction of the time."""
_WORTH = 3
"""Least ratio of all lists to those that are searched: per descriptor an exact search is as many times as fast."""
_ROUNDS, _PER_CENTROID = 8, 64


def _index(descriptors: NDArray[np.float16]) -> faiss.Index:
    """An index of descriptors (K, D): exact where they are few, else by inverted lists, several times as fast."""
    vectors = np.ascontiguousarray(descriptors, dtype=np.float32)
    dimensions, lists = vectors.shape[1], min(_MOST_LISTS, len(vectors) // _PER_LIST)
    exact = faiss.IndexFlatL2(dimensions)
    if lists < _WORTH * _PROBED:
        exact.add(vectors)
        return exact
    listed = faiss.IndexIVFFlat(exact, dimensions, lists)
    listed.cp.niter, listed.cp.max_points_per_centroid = _ROUNDS, _PER_CENTROID
    listed.train(vectors)
    listed.nprobe = _PROBED
    listed.add(vectors)
    return listed
