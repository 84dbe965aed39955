"""The gallery: the embeddings that queries are compared with, with their labels and ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.files import read_json, write_json
from model.named_parts import nearest

_LARGEST = 16 * 2**30
_COMPARED = 1000
"""Maximum names that a misspelled one is compared with, since a client may send any."""


@dataclass(frozen=True)
class Gallery:
    """Embeddings with labels and ids.

    Attributes:
        vectors: (N, D) float32, L2-normalised.
        labels: (N,) int64, indices into `classes`.
        ids: (N,) str, ids of the samples.
        classes: The class names.
        groups: (N,) str, groups by which a search may be narrowed; None if the data have none.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]
    classes: tuple[str, ...]
    groups: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        if {len(self.labels), len(self.ids), len(self.vectors if self.groups is None else self.groups)} != {len(self.vectors)}:
            raise InvalidInput("A gallery's vectors, labels, ids and groups are not equally many.")
        check_embeddings(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def _index(self) -> Any:
        return _flat(self.vectors)

    def rows(self, *, label: str | None = None, group: str | None = None) -> NDArray[np.int64] | None:
        """The rows of one class, of one group, or of both; None stands for all rows.

        Raises:
            InvalidInput: There is no such class or group.
        """
        if label is None and group is None:
            return None
        chosen = np.ones(len(self), bool)
        if label is not None:
            _refuse_unknown("label", label, self.classes)
            chosen &= self.labels == self.classes.index(label)
        if group is not None:
            groups = np.zeros(len(self), dtype=str) if self.groups is None else self.groups
            _refuse_unknown("group", group, np.unique(groups[groups != ""]).tolist())
            chosen &= groups == group
        return np.flatnonzero(chosen)

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
        if k < 1:
            raise InvalidInput(f"k must be at least 1, not {k}.")
        check_embeddings(queries)
        k = min(k, len(self) if among is None else len(among))
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        index = self._index if among is None else _flat(self.vectors[among])
        scores, rows = index.search(np.ascontiguousarray(queries), k)
        rows = rows if among is None else among[rows]
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    def save(self, folder: Path, space_id: str) -> None:
        """Write `vectors.npy` and `entries.json` into `folder`, with the id of their embedding space."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
        entries = {
            "embedding_space_id": space_id,
            "classes": list(self.classes),
            "labels": self.labels.tolist(),
            "ids": self.ids.tolist(),
        }
        if self.groups is not None:
            entries["groups"] = self.groups.tolist()
        write_json(folder / "entries.json", entries)


def load_gallery(folder: Path, space_id: str) -> Gallery:
    """Read what `Gallery.save` wrote.

    Raises:
        InvalidInput: The vectors belong to another space than `space_id`, or the file does not hold the float32 matrix of unit
            rows that its header declares.
    """
    entries = read_json(folder / "entries.json")
    if entries["embedding_space_id"] != space_id:
        raise InvalidInput(
            f"The gallery is of embedding space {entries['embedding_space_id']}, not {space_id}.",
            "Index it again with these weights.",
        )
    vectors = load_matrix(folder / "vectors.npy")
    labels, ids = np.array(entries["labels"], np.int64), np.array(entries["ids"], dtype=str)
    groups = np.array(entries["groups"], dtype=str) if "groups" in entries else None
    return Gallery(vectors, labels, ids, tuple(entries["classes"]), groups)


def _refuse_unknown(what: str, name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    similar = f"Did you mean {nearest(name, known)!r}?" if 0 < len(known) <= _COMPARED else ""
    raise InvalidInput(f"The gallery has no {what} {name!r}.", similar)


def _flat(vectors: NDArray[np.float32]) -> Any:
    """An exact index of vectors (N, D) by their products."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


def load_matrix(file: Path) -> NDArray[np.float32]:
    """Read a float32 matrix whose header agrees with the size of the file.

    Raises:
        InvalidInput: The file holds anything else.
    """
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream, max_header_size=4096)  # type: ignore[no-untyped-call]
            size = stream.tell() + int(np.prod(shape, dtype=np.float64)) * 4
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise InvalidInput(f"{file.name} is no array.") from error
    if dtype != np.float32 or len(shape) != 2 or min(shape) < 0 or size != file.stat().st_size or size > _LARGEST:
        raise InvalidInput(f"{file.name} is not the float32 matrix that its header declares.")
    matrix: NDArray[np.float32] = np.load(file, allow_pickle=False)
    return matrix


def usable_embeddings(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(B,) whether each row of (B, D) can be compared: its values are finite and its length is 1."""
    usable: NDArray[np.bool_] = np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3  # also false for NaN
    return usable


def check_embeddings(vectors: NDArray[np.float32]) -> None:
    """Refuse embeddings that cannot be compared.

    Raises:
        InvalidInput: The vectors are no matrix, or a row is not finite or not of length 1.
    """
    if vectors.ndim != 2:
        raise InvalidInput("Embeddings are a matrix of one row each.")
    if not usable_embeddings(vectors).all():
        raise InvalidInput("An embedding is not finite or not of length 1.", "Train again with smaller train.learning_rates.")
