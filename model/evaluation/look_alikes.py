"""Suspicious labels and near duplicates: what the nearest neighbours of a gallery's entries say of each other.

A label is suspicious if more than half of the K nearest other entries have one other label.
An entry has no more neighbours of its own label than its class has other entries, so of a small class fewer neighbours are asked.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.data.spread import evenly
from model.progress import Progress
from model.retrieval.gallery import Gallery
from model.schemas.look_alikes import LookAlikes, NearDuplicate, Neighbour, SuspiciousLabel

NEIGHBOURS = 5
"""Nearest entries that have a say in a label (K)."""
FEWEST = 3
"""Entries that a class must have for its labels to be judged: two others may agree."""
SAME = 0.98
"""Cosine similarity from which on two entries count as near duplicates."""
MOST = 20_000
"""Entries that are looked at; of a larger gallery some, spread evenly."""
SHOWN = 300
"""Suspicious labels, and pairs, that are named."""
_BLOCK = 256

Neighbourhood = tuple[int, NDArray[np.int64], NDArray[np.float32]]
"""Row of an entry, rows (K,) of its nearest others, and their cosine similarities (K,)."""


def find_look_alikes(gallery: Gallery, *, same: float = SAME, most: int = MOST, progress: Progress | None = None) -> LookAlikes:
    """Look at the neighbours of a gallery's entries.

    Args:
        gallery: The gallery.
        same: Cosine similarity from which on two entries count as near duplicates.
        most: Entries that are looked at, so that the time is bounded: it grows with their number times the gallery's size.
        progress: Called for every block of entries.
    """
    entries, rows = gallery.entries, evenly(len(gallery), most)
    sizes = np.bincount(entries.labels, minlength=len(entries.classes))
    suspicious, pairs, not_judged = list[SuspiciousLabel](), dict[tuple[int, int], float](), 0
    for row, near, scores in _neighbourhoods(gallery, rows, progress):
        for other, score in zip(near[scores >= same].tolist(), scores[scores >= same].tolist(), strict=True):
            pairs[min(row, other), max(row, other)] = score
        size = int(sizes[entries.labels[row]])
        if size < FEWEST:
            not_judged += 1
        elif found := _judged(gallery, row, near[: size - 1], scores[: size - 1]):
            suspicious.append(found)
    suspicious.sort(key=lambda each: (-(each.suggesting - each.agreeing) / len(each.neighbours), -each.neighbours[0].score))
    duplicates = [_pair(gallery, one, other, score) for (one, other), score in pairs.items()]
    duplicates.sort(key=lambda pair: (pair.labels[0] == pair.labels[1], -pair.score))
    return LookAlikes(
        entries=len(gallery),
        looked_at=len(rows),
        not_judged=not_judged,
        suspicious=len(suspicious),
        labels=tuple(suspicious[:SHOWN]),
        duplicates=len(duplicates),
        pairs=tuple(duplicates[:SHOWN]),
    )


def nearest_entries(gallery: Gallery, vector: NDArray[np.float32], k: int, *, besides: int | None = None) -> list[Neighbour]:
    """The entries that are nearest to an embedding, nearest first.

    Args:
        gallery: The gallery.
        vector: (D,) float32, L2-normalised.
        k: Number of entries, at least 1.
        besides: Row of the entry that the embedding belongs to, which is left out.

    Raises:
        InvalidInput: The embedding is no unit vector of the gallery's dimensions.
    """
    scores, rows = gallery.search(vector[None], k + (besides is not None))
    others = rows[0] != (-1 if besides is None else besides)
    return _named(gallery, rows[0][others][:k], scores[0][others][:k])


def _neighbourhoods(gallery: Gallery, rows: NDArray[np.int64], progress: Progress | None) -> Iterator[Neighbourhood]:
    """The nearest others of some entries, searched in blocks."""
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        scores, found = gallery.search(np.ascontiguousarray(gallery.embeddings(block)), NEIGHBOURS + 1)
        for row, near, near_scores in zip(block.tolist(), found, scores, strict=True):
            others = near != row
            yield row, near[others][:NEIGHBOURS], near_scores[others][:NEIGHBOURS]
        if progress:
            progress(min(start + _BLOCK, len(rows)), len(rows), "images compared")


def _judged(gallery: Gallery, row: int, near: NDArray[np.int64], scores: NDArray[np.float32]) -> SuspiciousLabel | None:
    """The label of an entry if its neighbours make it suspicious."""
    entries = gallery.entries
    votes = Counter(entries.label_of(other) for other in near.tolist())
    label = entries.label_of(row)
    suggested, suggesting = max(votes.items(), key=lambda vote: vote[1])
    if suggested == label or 2 * suggesting <= len(near):
        return None
    return SuspiciousLabel(
        id=entries.id_of(row),
        label=label,
        suggested=suggested,
        agreeing=votes[label],
        suggesting=suggesting,
        neighbours=tuple(_named(gallery, near, scores)),
    )


def _named(gallery: Gallery, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Neighbour]:
    entries = gallery.entries
    return [
        Neighbour(id=entries.id_of(row), label=entries.label_of(row), score=round(score, 6))
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def _pair(gallery: Gallery, one: int, other: int, score: float) -> NearDuplicate:
    entries = gallery.entries
    labels = entries.label_of(one), entries.label_of(other)
    return NearDuplicate(one=entries.id_of(one), other=entries.id_of(other), labels=labels, score=round(score, 6))
