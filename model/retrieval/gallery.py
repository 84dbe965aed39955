"""The gallery: the embeddings that queries are compared with, with their labels and ids, wherever they lie."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.retrieval.galleries.arrays import blocks
from model.retrieval.galleries.entries import Entries
from model.schemas.gallery_record import FlatIndex, IvfIndex, MilvusIndex

_TOLERANCE = 2e-3
"""Largest difference of a unit vector's squared length from 1."""


class Gallery(Protocol):
    """Embeddings with labels and ids, which can be searched.

    `model.retrieval.galleries.local` has it in files of this machine, `model.retrieval.galleries.milvus` in a Milvus collection.
    """

    @property
    def entries(self) -> Entries:
        """Ids, classes and groups."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def index(self) -> FlatIndex | IvfIndex | MilvusIndex:
        """How it is searched, and how much of what is nearest is found."""
        ...

    def __len__(self) -> int: ...

    def search(
        self, queries: NDArray[np.float32], k: int, *, among: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest entries of each query.

        Args:
            queries: (Q, D) float32, L2-normalised.
            k: At least 1; clamped to the gallery's size.
            among: Rows that may be answers; None for all.

        Returns:
            Cosine similarities (Q, k), descending, and row numbers (Q, k). Equal scores come in the order of the rows.

        Raises:
            InvalidInput: k is below 1, or the queries are not unit vectors.
        """
        ...

    def embeddings(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some rows, (R, D) float32, L2-normalised."""
        ...


def usable_embeddings(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(B,) whether each row of (B, D) can be compared: its values are finite and its length is 1."""
    usable: NDArray[np.bool_] = np.abs(np.vecdot(vectors, vectors) - 1) < _TOLERANCE  # also false for NaN
    return usable


def check_embeddings(vectors: NDArray[np.float32]) -> None:
    """Refuse embeddings that cannot be compared.

    Raises:
        InvalidInput: The vectors are no matrix, or a row is not finite or not of length 1.
    """
    if vectors.ndim != 2:
        raise InvalidInput("Embeddings are a matrix of one row each.")
    for block in blocks(*vectors.shape):
        lengths = np.vecdot(vectors[block], vectors[block]).tolist()  # compared in NumPy, one query takes thrice the time
        if not all(abs(length - 1) < _TOLERANCE for length in lengths):
            raise InvalidInput("An embedding is not finite or not of length 1.", "Train again with smaller train.learning_rates.")
