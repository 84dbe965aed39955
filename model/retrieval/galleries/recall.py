"""The recall of a search that may miss neighbours, against exact search, on entries as queries of which each is held out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.retrieval.galleries.exact import Nearest, exact_search
from model.schemas.gallery_record import RECALL_DEPTH

QUERIES = 1000
"""Entries that are queries, at most."""
_ROUNDING = 1e-6
"""Difference of two scores of the same pair."""

Search = Callable[[NDArray[np.float32], int], Nearest]


@dataclass(frozen=True)
class HeldOut:
    """Entries as queries, each of which is searched among the others.

    Attributes:
        rows: (Q,) rows of the entries, in a random order.
        queries: (Q, D) their vectors.
        wanted: Neighbours that are counted for each: 10, or all others of a smaller gallery.
        lowest: (Q,) score of the last of the true neighbours; what scores as high is one.
    """

    rows: NDArray[np.int64]
    queries: NDArray[np.float32]
    wanted: int
    lowest: NDArray[np.float32]

    def recalls(self, search: Search) -> NDArray[np.float64]:
        """The share of the true neighbours of each query, (Q,), that a search finds."""
        if not self.wanted:
            return np.ones(len(self.rows))
        scores, rows = search(self.queries, self.wanted + 1)
        found = (rows != self.rows[:, None]) & (rows >= 0) & (scores >= self.lowest[:, None] - _ROUNDING)
        return np.minimum(found.sum(axis=1), self.wanted) / self.wanted


def fewest(recalls_at: Callable[[int], NDArray[np.float64]], first: int, last: int, min_recall: float) -> tuple[int, float]:
    """The least depth of a search at which one half of the queries is clearly recalled, and the recall of the other half.

    Args:
        recalls_at: The recalls (Q,) of the queries at a depth, which grow with it.
        first: Least depth that is tried.
        last: Largest depth, which is returned if no lesser one is enough.
        min_recall: Recall that the first half must exceed by two standard errors, and the other half must have.
    """
    depth = min(first, last)
    while True:
        recalls = recalls_at(depth)
        half = len(recalls) // 2
        chosen, other = recalls[:half], recalls[half:]
        clear = half > 0 and chosen.mean() - 2 * chosen.std() / half**0.5 >= min_recall
        if depth == last or (clear and other.mean() >= min_recall):
            return depth, float(other.mean())
        depth = min(last, max(depth + 1, round(1.25 * depth)))


def sampled_rows(count: int) -> NDArray[np.int64]:
    """The rows of the entries that are queries, the same ones every time."""
    return np.random.default_rng(0).permutation(count)[:QUERIES]


def hold_out(vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> HeldOut:
    """Search entries exactly among all others.

    Args:
        vectors: (N, D) float32, all entries.
        rows: Rows of the entries that are queries.
    """
    queries, wanted = vectors[rows], min(RECALL_DEPTH, len(vectors) - 1)
    scores, found = exact_search(vectors, queries, wanted + 1)
    itself = found == rows[:, None]
    itself[~itself.any(axis=1), -1] = True  # equal entries may have come before it
    others = scores[~itself].reshape(len(rows), wanted)
    return HeldOut(rows, queries, wanted, others.min(axis=1, initial=1.0))
