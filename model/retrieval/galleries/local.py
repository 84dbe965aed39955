"""A gallery in files of this machine, memory-mapped: workers of one machine share it.

gallery.json               a `GalleryRecord`
vectors.npy                (N, D) float32, L2-normalised
labels.npy                 (N,) int64, numbers of the record's classes
ids.npy, id_ends.npy       (B,) uint8 and (N,) int64: the ids as UTF-8, one after the other, and where each ends
groups.npy                 (N,) int32, numbers of the record's groups, if the data have any
ivf/                       the lists of a large gallery, see `model.retrieval.galleries.ivf`
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.files import atomic_folder, sha256_file
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.exact import Nearest, clamped_k, exact_search, in_row_order
from model.retrieval.galleries.ivf import InvertedFile, build_ivf
from model.retrieval.galleries.milvus import store_in_milvus
from model.retrieval.gallery import check_embeddings
from model.schemas.gallery_record import BY_SIZE, FlatIndex, GalleryRecord, IndexPlan, IvfIndex, MilvusIndex

RECORD = "gallery.json"
VECTORS = "vectors.npy"
IVF = "ivf"
_EXACT_AMONG = 20_000
"""Rows up to which a search among some rows is exact."""
_DEEPEST = 200
"""Largest k that lists are searched for; for more, every entry is compared."""


@dataclass(frozen=True)
class LocalGallery:
    """Embeddings with labels and ids, in memory or mapped from files.

    Attributes:
        vectors: (N, D) float32, L2-normalised.
        entries: Ids, classes and groups of the N entries.
        inverted: The lists that a query is compared with; None if it is compared with every entry.
        index: How it is searched.
    """

    vectors: NDArray[np.float32]
    entries: Entries
    inverted: InvertedFile | None = None
    index: FlatIndex | IvfIndex = field(default_factory=FlatIndex)

    def __post_init__(self) -> None:
        if len(self.entries) != len(self.vectors):
            raise InvalidInput("A gallery's vectors, labels, ids and groups are not equally many.")
        check_embeddings(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64, indices into `classes`."""
        return self.entries.labels

    @property
    def ids(self) -> NDArray[np.str_]:
        """(N,) str, ids of the samples, in memory."""
        return self.entries.id_array

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return self.entries.classes

    @property
    def groups(self) -> NDArray[np.str_] | None:
        """(N,) str, groups by which a search may be narrowed, in memory; None if the data have none."""
        return self.entries.group_array

    def search(self, queries: NDArray[np.float32], k: int, *, among: NDArray[np.int64] | None = None) -> Nearest:
        """See `Gallery.search`. Few rows, and large k, are searched exactly whatever the index is."""
        k = clamped_k(queries, k, len(self), among)
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if self.inverted is not None and k <= _DEEPEST and (among is None or len(among) > _EXACT_AMONG):
            scores, rows = self.inverted.search(queries, k, among)
            if short := [number for number, last in enumerate(rows[:, -1].tolist()) if last < 0]:  # their lists hold fewer
                scores[short], rows[short] = exact_search(self.vectors, queries[short], k, among)
            return in_row_order(scores, rows)
        return in_row_order(*exact_search(self.vectors, queries, k, among))

    def embeddings(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Gallery.embeddings`."""
        return self.vectors[rows]

    def save(self, folder: Path, space_id: str, plan: IndexPlan = BY_SIZE) -> GalleryRecord:
        """Write the gallery, and its index, as `folder`, which appears whole or not at all.

        Args:
            folder: Its folder; an existing one is replaced.
            space_id: Id of the embedding space of the vectors.
            plan: How it is to be searched.

        Raises:
            InvalidInput: A Milvus server is to search it, and there is no address or it does not reach the recall.
            Unavailable: The Milvus server does not answer.
        """
        with atomic_folder(folder) as partial:
            np.save(partial / VECTORS, np.ascontiguousarray(self.vectors), allow_pickle=False)
            self.entries.save(partial)
            sha256 = sha256_file(partial / VECTORS)
            index: FlatIndex | IvfIndex | MilvusIndex = FlatIndex()
            if len(self) and plan.kind == "milvus":
                index = store_in_milvus(self.vectors, space_id, sha256, plan.min_recall)
                (partial / VECTORS).unlink()
            elif plan.has_lists(len(self)):
                (partial / IVF).mkdir()
                index = build_ivf(self.vectors, partial / IVF, plan.min_recall)
            record = GalleryRecord(
                embedding_space_id=space_id,
                count=len(self),
                dimensions=self.dimensions,
                vectors_sha256=sha256,
                classes=self.classes,
                groups=None if self.entries.groups is None else self.entries.group_names,
                index=index,
                plan=plan,
            )
            record.save(partial / RECORD)
        return record
