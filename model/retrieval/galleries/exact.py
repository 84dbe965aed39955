"""Exact search: every query is compared with every vector, or with those of some rows. Vectors may be memory-mapped."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.retrieval.galleries.arrays import blocks
from model.retrieval.gallery import check_embeddings

Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Cosine similarities (Q, k), descending, and row numbers (Q, k)."""


def clamped_k(queries: NDArray[np.float32], k: int, size: int, among: NDArray[np.int64] | None) -> int:
    """Check the queries of a search, and clamp k to the entries that may be answers.

    Raises:
        InvalidInput: k is below 1, or the queries are not unit vectors.
    """
    if k < 1:
        raise InvalidInput(f"k must be at least 1, not {k}.")
    check_embeddings(queries)
    return min(k, size if among is None else len(among))


def in_row_order(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> Nearest:
    """The same answers, of which those with equal scores come in the order of the rows."""
    if all(one > other for row in scores.tolist() for one, other in pairwise(row)):
        return scores, rows
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def merged(parts: Iterable[Nearest], queries: int, k: int) -> Nearest:
    """The k best of the answers to some queries that were found part by part."""
    scores, rows = np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64)
    for found in parts:
        scores, rows = in_row_order(np.hstack([scores, found[0]]), np.hstack([rows, found[1]]))
        scores, rows = scores[:, :k], rows[:, :k]
    return scores, rows


def exact_search(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None
) -> Nearest:
    """The k nearest of vectors (N, D) to queries (Q, D), in the order of their scores; k is at most the number of rows.

    The rows `among` are copied in blocks, so that memory stays bounded.
    """
    import faiss

    queries = np.ascontiguousarray(queries)
    if among is None:
        found: Nearest = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        return found

    def within(part: NDArray[np.int64]) -> Nearest:
        scores, places = faiss.knn(queries, vectors[part], min(k, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
        return scores, part[places]

    return merged((within(among[block]) for block in blocks(len(among), vectors.shape[1])), len(queries), k)
