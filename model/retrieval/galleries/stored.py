"""Galleries on disk, of this format and of the earlier one (`entries.json`)."""

from pathlib import Path
from typing import Any

import numpy as np

from model.errors import Conflict, InvalidInput
from model.files import read_json, sha256_file
from model.retrieval.galleries.arrays import map_array
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.ivf import open_ivf
from model.retrieval.galleries.local import IVF, RECORD, VECTORS, LocalGallery
from model.retrieval.galleries.milvus import open_in_milvus
from model.retrieval.gallery import Gallery
from model.schemas.gallery_record import GalleryRecord, IvfIndex, MilvusIndex

_EARLIER = "entries.json"


def load_gallery(folder: Path, space_id: str, *, vectors_sha256: str | None = None) -> Gallery:
    """Map what `LocalGallery.save` wrote.

    Args:
        folder: Folder of the gallery.
        space_id: Id of the embedding space that it must be of.
        vectors_sha256: Hash of its vectors.npy, if it was computed already.

    Raises:
        Conflict: The gallery is of another space, or its index was made from other vectors.
        NotFound: Milvus has not the collection.
        Unavailable: Milvus does not answer.
        InvalidInput: A file is damaged, or the files do not fit together.
    """
    if (folder / _EARLIER).is_file():
        return _earlier(folder, space_id)
    record = GalleryRecord.load(folder / RECORD)
    _refuse_other_space(record.embedding_space_id, space_id)
    entries = Entries.load(folder, record.classes, record.groups)
    if len(entries) != record.count:
        raise InvalidInput("The gallery has not as many entries as its record says.", GalleryRecord.REMEDY)
    if isinstance(record.index, MilvusIndex):
        return open_in_milvus(record, record.index, entries)
    vectors = map_array(folder / VECTORS, np.float32, dimensions=2)
    if vectors.shape != (record.count, record.dimensions):
        raise InvalidInput("The gallery's vectors are not as many or as long as its record says.", GalleryRecord.REMEDY)
    if record.vectors_sha256 != (vectors_sha256 or sha256_file(folder / VECTORS)):
        raise Conflict("The gallery's index was made from other vectors.", "Index it again.")
    if not isinstance(record.index, IvfIndex):
        return LocalGallery(vectors, entries)
    return LocalGallery(vectors, entries, open_ivf(folder / IVF, record.index, *vectors.shape), record.index)


def _earlier(folder: Path, space_id: str) -> LocalGallery:
    entries: dict[str, Any] = read_json(folder / _EARLIER)
    _refuse_other_space(entries["embedding_space_id"], space_id)
    groups = np.array(entries["groups"], dtype=str) if "groups" in entries else None
    known = Entries.of(np.array(entries["labels"], np.int64), entries["ids"], entries["classes"], groups)
    return LocalGallery(map_array(folder / VECTORS, np.float32, dimensions=2), known)


def _refuse_other_space(stated: str, wanted: str) -> None:
    if stated != wanted:
        raise Conflict(f"The gallery is of embedding space {stated}, not {wanted}.", "Index it again with these weights.")
