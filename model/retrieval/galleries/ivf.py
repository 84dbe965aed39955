"""An inverted file: the entries in lists by their nearest centroid, of which a query is compared with a few (IVF in FAISS).

centroids.npy   (L, D) float32, by spherical k-means
sizes.npy       (L,) int64, entries of each list
lists.bin       list by list: the vectors of its entries, float32, then their rows, int64

The files are of our own making, so that FAISS parses none of them: it is given the memory-mapped lists. Processes share them.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.retrieval.galleries.arrays import blocks, map_array
from model.retrieval.galleries.exact import Nearest
from model.retrieval.galleries.recall import fewest, hold_out, sampled_rows
from model.schemas.gallery_record import RECALL_DEPTH, GalleryRecord, IvfIndex

_PER_LIST = 40
"""Entries for each list that the centroids are fitted to."""
_ITERATIONS = 6
_DEEPER = 0.25
"""Power of k by which the lists grow that a query is compared with, so that the recall stays."""
_ROOM = 2
"""Entries for each neighbour that further lists must hold, where lists are short."""
_ROW = 8
"""Bytes of a row number."""


@dataclass(frozen=True)
class InvertedFile:
    """The lists of a gallery, opened.

    Attributes:
        index: FAISS's index over the mapped lists.
        probes: Lists that a query is compared with.
    """

    index: Any
    probes: int

    def search(self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None) -> Nearest:
        """The k nearest of some lists. Where these hold fewer than k entries, or fewer of the rows `among`, row -1 stands.

        For more neighbours than the recall was measured for, more lists are searched, and among some rows as many more as there
        are fewer entries in each.
        """
        if among is None and k <= RECALL_DEPTH:
            found: Nearest = self.index.search(queries, k)
            return found
        faiss, count = _faiss(), self.index.ntotal
        lists = self.probes * max(1, k / RECALL_DEPTH) ** _DEEPER + _ROOM * k * self.index.nlist / count
        wanted = faiss.SearchParametersIVF()
        if among is not None:
            chosen = np.zeros(count, bool)
            chosen[among] = True
            wanted = faiss.SearchParametersIVF(sel=faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little")))
            lists *= count / max(1, len(among))
        wanted.nprobe = min(self.index.nlist, math.ceil(lists))
        return self._search(np.ascontiguousarray(queries), k, wanted)

    def _search(self, queries: NDArray[np.float32], k: int, wanted: Any) -> Nearest:
        """FAISS's own search with parameters: pytorch-metric-learning puts one without them in the place of `index.search`."""
        pointer = _faiss().swig_ptr
        scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        self.index.search_c(len(queries), pointer(queries), k, pointer(scores), pointer(rows), wanted)
        return scores, rows


def build_ivf(vectors: NDArray[np.float32], folder: Path, min_recall: float) -> IvfIndex:
    """Write the lists of a gallery into `folder`, and choose how many of them a query is compared with.

    That number is the least at which the recall@10 on held-out entries is clearly at least `min_recall`.

    Args:
        vectors: (N, D) float32, L2-normalised, N at least 1; they may be memory-mapped, as they are read in blocks.
        folder: Empty folder.
        min_recall: Least share of the 10 true nearest neighbours that must be found.
    """
    queries = sampled_rows(len(vectors))
    centroids = _centroids(vectors, queries)
    sizes = _write_lists(folder / "lists.bin", vectors, _nearest(vectors, centroids), len(centroids))
    np.save(folder / "centroids.npy", centroids, allow_pickle=False)
    np.save(folder / "sizes.npy", sizes, allow_pickle=False)
    index = _opened(folder, len(vectors), vectors.shape[1])
    held_out = hold_out(vectors, queries)

    def recalls(probes: int) -> NDArray[np.float64]:
        index.nprobe = probes
        return held_out.recalls(index.search)

    probes, recall = fewest(recalls, 1, index.nlist, min_recall)
    return IvfIndex(lists=len(centroids), probes=probes, recall_at_10=round(recall, 4), queries=len(queries))


def open_ivf(folder: Path, record: IvfIndex, count: int, dimensions: int) -> InvertedFile:
    """Map what `build_ivf` wrote.

    Raises:
        InvalidInput: The files do not hold the lists of `count` vectors of these dimensions.
    """
    index = _opened(folder, count, dimensions)
    if index.nlist != record.lists or record.probes > record.lists:
        raise _unfit(folder)
    index.nprobe = record.probes
    return InvertedFile(index, record.probes)


def _centroids(vectors: NDArray[np.float32], held_out: NDArray[np.int64]) -> NDArray[np.float32]:
    """About two centroids for each root of the number of entries, (L, D), fitted to a sample without the queries."""
    faiss = _faiss()
    count = len(vectors)
    lists = max(1, min(count, round(2 * count**0.5)))
    random = np.random.default_rng(1)
    drawn = random.permutation(count)[: lists * _PER_LIST + len(held_out)]
    others = np.setdiff1d(drawn, held_out)  # sorted, as a mapped file is best read
    if len(others) < lists:
        others = np.sort(drawn)
    clustering = faiss.Clustering(vectors.shape[1], lists)
    clustering.niter, clustering.seed, clustering.spherical = _ITERATIONS, 1, True
    clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, 2 * _PER_LIST
    clustering.train(vectors[others], faiss.IndexFlatIP(vectors.shape[1]))
    centroids: NDArray[np.float32] = faiss.vector_to_array(clustering.centroids).reshape(lists, -1)
    return centroids


def _nearest(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    """The number of each vector's nearest centroid, (N,)."""
    numbers = np.empty(len(vectors), np.int64)
    for block in blocks(len(vectors), len(centroids)):
        numbers[block] = (vectors[block] @ centroids.T).argmax(axis=1)  # NumPy's product takes a third of the time of FAISS's
    return numbers


def _write_lists(file: Path, vectors: NDArray[np.float32], numbers: NDArray[np.int64], lists: int) -> NDArray[np.int64]:
    """Write all lists; returns their sizes (L,)."""
    sizes = np.bincount(numbers, minlength=lists).astype(np.int64)
    rows = np.split(np.argsort(numbers, kind="stable").astype(np.int64), np.cumsum(sizes)[:-1])
    with file.open("wb") as stream:
        for part in rows:
            for block in blocks(len(part), vectors.shape[1]):
                stream.write(vectors[part[block]].data)
            stream.write(part.data)
    return sizes


def _opened(folder: Path, count: int, dimensions: int) -> Any:
    """FAISS's index over the mapped lists, after a check that they hold each of `count` rows once."""
    faiss = _faiss()
    centroids = np.ascontiguousarray(map_array(folder / "centroids.npy", np.float32, dimensions=2))
    sizes, file = map_array(folder / "sizes.npy", np.int64), folder / "lists.bin"
    entry, lists = 4 * dimensions + _ROW, len(sizes)
    fits = centroids.shape == (lists, dimensions) and np.isfinite(centroids).all() and lists > 0
    fits = fits and sizes.min() >= 0 and sizes.max() <= count and sizes.sum() == count
    if not fits or not file.is_file() or file.stat().st_size != count * entry:
        raise _unfit(folder)
    ends = np.cumsum(sizes) * entry
    _check_rows(file, ends, sizes, folder)
    stored = faiss.OnDiskInvertedLists()
    stored.nlist, stored.code_size, stored.filename, stored.totsize = lists, 4 * dimensions, str(file), count * entry
    stored.read_only, stored.prefetch_nthread = True, 0
    for end, size in zip(ends.tolist(), sizes.tolist(), strict=True):
        one = faiss.OnDiskOneList()
        one.size, one.capacity, one.offset = size, size, end - size * entry
        stored.lists.push_back(one)
    stored.do_mmap()
    quantizer = faiss.IndexFlatIP(dimensions)
    quantizer.add(centroids)
    index = faiss.IndexIVFFlat(quantizer, dimensions, lists, faiss.METRIC_INNER_PRODUCT, True)
    index.replace_invlists(stored, True)  # which then frees them
    stored.this.disown()
    index.is_trained, index.ntotal = True, count
    return index


def _check_rows(file: Path, ends: NDArray[np.int64], sizes: NDArray[np.int64], folder: Path) -> None:
    held = np.memmap(file, np.uint8, "r")
    rows = np.concatenate([held[end - _ROW * size : end].view(np.int64) for end, size in zip(ends, sizes, strict=True)])
    if rows.min() < 0 or rows.max() >= len(rows) or not (np.bincount(rows, minlength=len(rows)) == 1).all():
        raise _unfit(folder)


def _unfit(folder: Path) -> InvalidInput:
    return InvalidInput(f"The lists in {folder.name} are not those of this gallery.", GalleryRecord.REMEDY)


def _faiss() -> Any:
    import faiss  # its type hints lack much of what is used here

    return faiss
