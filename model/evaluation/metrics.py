"""Recall@K, MAP@R and R-precision of every query; among equal scores wrong items come first."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import InvalidInput, NotFound
from model.files import atomic_file

KS = (1, 2, 4, 8)
FIGURES = {
    "recall_at_1": "Recall@1",
    "recall_at_2": "Recall@2",
    "recall_at_4": "Recall@4",
    "recall_at_8": "Recall@8",
    "map_at_r": "MAP@R",
    "r_precision": "R-precision",
}
"""Titles of the figures for people."""
NEIGHBOURS = 10
"""Nearest items that are kept for each query."""
NORM_TOLERANCE = 1e-3
"""Maximum distance of a vector's length from 1, as rounding in half precision causes."""
MAX_ELEMENTS = 2_000_000
"""Number of scores held in memory at a time, 8 MB for any size of the gallery."""


@dataclass(frozen=True)
class EmbeddedSamples:
    """Embedded images, on either side of a search.

    Attributes:
        vectors: (N, D) float32, L2-normalised.
        labels: (N,) int64.
        ids: (N,) str, by which self-matches are recognised. Rows may share an id.

    Raises:
        InvalidInput: The shapes disagree, there is no row, or a vector is not finite or not of length 1.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or not len(self.vectors) == len(self.labels) == len(self.ids) > 0:
            shapes = f"{self.vectors.shape}, {self.labels.shape}, {self.ids.shape}"
            raise InvalidInput(f"Vectors (N, D), labels (N,) and ids (N,) do not fit one another: {shapes}.")
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors))
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= NORM_TOLERANCE))  # also wrong for NaN
        if wrong.size:
            row = int(wrong[0])
            raise InvalidInput(
                f"{wrong.size} of {len(lengths)} vectors are not finite or not L2-normalised; "
                f"the first is that of {self.ids[row]}, of length {lengths[row]:g}.",
                "Normalise embeddings before they are searched; NaN means that training diverged.",
            )

    def __len__(self) -> int:
        return len(self.vectors)


def as_embedded(vectors: ArrayLike, labels: ArrayLike, ids: ArrayLike) -> EmbeddedSamples:
    """Arrays of any precision as `EmbeddedSamples`."""
    return EmbeddedSamples(np.asarray(vectors, dtype=np.float32), np.asarray(labels, dtype=np.int64), np.asarray(ids, dtype=str))


@dataclass(frozen=True)
class PerQuery:
    """Figures and neighbours of each query. Figures of queries without a possible match are 0 and count in no mean.

    Attributes:
        ids: (Q,) str.
        labels: (Q,) int64.
        ks: K of each column of `recall`.
        recall: (Q, K) bool, whether a right item is among the first k.
        map_at_r: (Q,) float64, from 0 to 1.
        r_precision: (Q,) float64, from 0 to 1.
        has_match: (Q,) bool, whether the gallery holds another item of the query's class.
        neighbours: (Q, 10) int64, rows of the gallery, nearest first; -1 where the gallery has no more.
        scores: (Q, 10) float32, their cosine similarities; -inf where there is none.
        best_right: (Q,) float32, similarity of the nearest item of the query's class; -inf if there is none.
        best_wrong: (Q,) float32, that of the nearest item of another class. Both are NaN in figures that earlier code stored.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    ks: tuple[int, ...]
    recall: NDArray[np.bool_]
    map_at_r: NDArray[np.float64]
    r_precision: NDArray[np.float64]
    has_match: NDArray[np.bool_]
    neighbours: NDArray[np.int64]
    scores: NDArray[np.float32]
    best_right: NDArray[np.float32]
    best_wrong: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def figures(self) -> dict[str, NDArray[np.float64]]:
        """The values (M,) of each figure, by its name, over the queries that have a possible match."""
        recalls = {f"recall_at_{k}": self.recall[:, column].astype(np.float64) for column, k in enumerate(self.ks)}
        every = {**recalls, "map_at_r": self.map_at_r, "r_precision": self.r_precision}
        return {name: values[self.has_match] for name, values in every.items()}

    def mean(self, figure: str) -> float:
        """The mean of a figure over the queries that have a possible match; NaN if there are none."""
        values = self.figures()[figure]
        return float(values.mean()) if values.size else float("nan")

    def save(self, path: Path) -> None:
        """Write to `path` (.npz) atomically. The same figures give the same bytes."""
        columns = {name: np.asarray(value) for name, value in vars(self).items()}
        with atomic_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **columns)

    @classmethod
    def load(cls, path: Path) -> "PerQuery":
        """Read what `save` wrote. Nothing in the file is executed.

        Raises:
            NotFound: There is no such file.
            InvalidInput: It is not such a file.
        """
        if not path.is_file():
            raise NotFound(f"There is no {path}.", "Run the evaluation first.")
        try:
            with np.load(path, allow_pickle=False) as stored:
                unknown = dict.fromkeys(("best_right", "best_wrong"), np.full(len(stored["ids"]), np.nan, np.float32))
                columns = unknown | {name: stored[name] for name in stored.files}
                return cls(**columns | {"ks": tuple(int(k) for k in stored["ks"])})
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"{path} does not hold the figures of an evaluation ({error}).", "Evaluate again.") from error


def evaluate_retrieval(
    vectors: ArrayLike, labels: ArrayLike, ids: ArrayLike, *, queries: int | None = None, ks: Sequence[int] = KS
) -> PerQuery:
    """Search every sample among all others.

    Args:
        vectors: (N, D) float32, L2-normalised.
        labels: (N,) int64.
        ids: (N,) str; a query finds no row with its own id.
        queries: Number of first samples that are queries; the others are distractors. By default all are queries.
        ks: Values of K of Recall@K.

    Raises:
        InvalidInput: See `EmbeddedSamples`.
    """
    everything = as_embedded(vectors, labels, ids)
    first = EmbeddedSamples(everything.vectors[:queries], everything.labels[:queries], everything.ids[:queries])
    return evaluate_queries(first, everything, ks=ks)


def evaluate_queries(queries: EmbeddedSamples, gallery: EmbeddedSamples, *, ks: Sequence[int] = KS) -> PerQuery:
    """Search `gallery` exactly for every one of `queries`. Rows with the query's id are no candidates.

    With R the number of candidates of the query's class, and rel(i) whether the i-th nearest is of that class,

        MAP@R = 1/R sum_{i<=R} P@i rel(i),   P@i = hits among the first i / i,   R-precision = hits among the first R / R

    (Musgrave, Belongie and Lim, 'A Metric Learning Reality Check', ECCV 2020). Among equal scores, wrong items come first.
    Scores are float32. Equal vectors have equal scores to the last bit: a matrix product may differ there at its edges, so the
    score of the first of them stands for all. Beside both sides' vectors little memory is used, whatever their number.

    Raises:
        InvalidInput: The two sides have vectors of different sizes, or the values of K lack 1 or are below 1.
    """
    if queries.vectors.shape[1] != gallery.vectors.shape[1]:
        raise InvalidInput(f"Queries of {queries.vectors.shape[1]} and a gallery of {gallery.vectors.shape[1]} dimensions.")
    if 1 not in ks or min(ks) < 1:
        raise InvalidInput(f"The K of Recall@K are 1 or more, and 1 is one of them; not {list(ks)}.")
    per_query = _without_figures(queries, tuple(ks))
    query_codes, gallery_codes = _codes(queries.ids, gallery.ids)
    repeated, first = _repeated(gallery.vectors)
    step = max(1, MAX_ELEMENTS // len(gallery))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        scores = queries.vectors[part] @ gallery.vectors.T  # (B, N)
        scores[:, repeated] = scores[:, first]
        itself = query_codes[part, None] == gallery_codes
        scores[itself] = -np.inf
        match = (queries.labels[part, None] == gallery.labels) & ~itself
        for row in range(len(scores)):
            _fill(per_query, start + row, scores[row], match[row])
    return per_query


def _fill(per_query: PerQuery, query: int, scores: NDArray[np.float32], match: NDArray[np.bool_]) -> None:
    """Enter one query's figures from its scores (N,), -inf for items that are no candidates, and matches (N,)."""
    r = int(np.count_nonzero(match))
    nearest = _nearest(scores, match, max(r + 1, NEIGHBOURS, *per_query.ks))  # with a wrong one among them, if there is any
    right = match[nearest]
    per_query.best_right[query] = scores[match].max(initial=-np.inf)
    per_query.best_wrong[query] = scores[nearest[~right]].max(initial=-np.inf)
    if r:
        hits = np.flatnonzero(right[:r]) + 1  # the i of P@i where rel(i) is 1
        per_query.has_match[query] = True
        per_query.recall[query] = [right[:k].any() for k in per_query.ks]
        per_query.map_at_r[query] = map_at_r(hits, r)
        per_query.r_precision[query] = len(hits) / r
    shown = nearest[:NEIGHBOURS]
    per_query.neighbours[query, : len(shown)] = shown
    per_query.scores[query, : len(shown)] = scores[shown]


def map_at_r(hits: NDArray[np.int64], r: int) -> float:
    """MAP@R of a query with `r` right candidates, from the ranks up to `r`, counted from 1, of those that were found."""
    return float((np.arange(1, len(hits) + 1) / hits).sum() / r)


def _nearest(scores: NDArray[np.float32], match: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Rows of at most `count` best candidates, best first; among equals wrong ones come first, then lower rows."""
    count = min(count, int(np.count_nonzero(scores > -np.inf)))
    if not count:
        return np.empty(0, dtype=np.int64)
    last = np.partition(scores, -count)[-count]
    rows = np.flatnonzero(scores >= last)  # with all that equal the last, among which wrong ones go first
    return rows[np.lexsort((match[rows], -scores[rows]))[:count]]


def _without_figures(queries: EmbeddedSamples, ks: tuple[int, ...]) -> PerQuery:
    count = len(queries)
    return PerQuery(
        ids=queries.ids,
        labels=queries.labels,
        ks=ks,
        recall=np.zeros((count, len(ks)), dtype=bool),
        map_at_r=np.zeros(count),
        r_precision=np.zeros(count),
        has_match=np.zeros(count, dtype=bool),
        neighbours=np.full((count, NEIGHBOURS), -1, dtype=np.int64),
        scores=np.full((count, NEIGHBOURS), -np.inf, dtype=np.float32),
        best_right=np.full(count, -np.inf, dtype=np.float32),
        best_wrong=np.full(count, -np.inf, dtype=np.float32),
    )


def _codes(queries: NDArray[np.str_], gallery: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids as numbers, equal for equal ids, because numbers are compared faster."""
    _, codes = np.unique(np.concatenate([queries, gallery]), return_inverse=True)
    return codes[: len(queries)], codes[len(queries) :]


def _repeated(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that equal an earlier row, and for each of them the first such row. Rows are compared by their hashes."""
    seen: dict[bytes, int] = {}
    # -0 becomes 0: equal numbers, equal bytes
    firsts = np.array([seen.setdefault(_hash(row + np.float32(0)), number) for number, row in enumerate(vectors)], np.int64)
    repeated = np.flatnonzero(firsts != np.arange(len(vectors)))
    return repeated, firsts[repeated]


def _hash(row: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()
