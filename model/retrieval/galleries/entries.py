"""What is known of each entry of a gallery beside its vector: id, class and group. It may be memory-mapped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.named_parts import did_you_mean
from model.retrieval.galleries.arrays import map_array
from model.schemas.gallery_record import GalleryRecord

_COMPARED = 1000
"""Maximum names that a misspelled one is compared with, since a client may send any."""


@dataclass(frozen=True)
class Texts:
    """N texts, one after the other.

    Attributes:
        data: (B,) uint8, their bytes as UTF-8.
        ends: (N,) int64, where each of them ends.
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Texts in memory."""
        encoded = [str(text).encode() for text in texts]
        ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        start = self.ends[row - 1] if row else 0
        return self.data[start : self.ends[row]].tobytes().decode(errors="replace")

    def as_array(self) -> NDArray[np.str_]:
        """All of them, (N,) str, in memory."""
        return np.array([self[row] for row in range(len(self))], dtype=str)

    def is_whole(self) -> bool:
        """Whether the ends are those of texts that fill the bytes."""
        ends = self.ends
        return (int(ends[-1]) == len(self.data) and ends[0] >= 0 and bool((np.diff(ends) >= 0).all())) if len(ends) else True


@dataclass(frozen=True)
class Entries:
    """Ids, classes and groups of N entries.

    Attributes:
        labels: (N,) int64, numbers of `classes`.
        ids: Ids of the N samples.
        classes: The class names.
        groups: (N,) int32, numbers of `group_names`, by which a search may be narrowed; None if the data have no groups.
        group_names: The names of the groups, sorted; an empty name stands for no group.
    """

    labels: NDArray[np.int64]
    ids: Texts
    classes: tuple[str, ...]
    groups: NDArray[np.int32] | None = None
    group_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        groups = self.labels if self.groups is None else self.groups
        if {len(self.ids), len(groups)} != {len(self.labels)}:
            raise InvalidInput("A gallery's vectors, labels, ids and groups are not equally many.")
        names = self.classes if self.groups is None else self.group_names
        if not (self.ids.is_whole() and _numbers(self.labels, self.classes) and _numbers(groups, names)):
            raise InvalidInput("A gallery's labels, ids or groups are damaged.", GalleryRecord.REMEDY)

    @classmethod
    def of(
        cls, labels: NDArray[np.int64], ids: Iterable[str], classes: Sequence[str], groups: NDArray[np.str_] | None = None
    ) -> "Entries":
        """Entries in memory.

        Args:
            labels: (N,) int64, numbers of `classes`.
            ids: N ids.
            classes: The class names.
            groups: (N,) str, names of groups, empty for none; None if the data have no groups.
        """
        if groups is None:
            return cls(labels, Texts.of(ids), tuple(classes))
        names, numbers = np.unique(groups, return_inverse=True)
        return cls(labels, Texts.of(ids), tuple(classes), numbers.astype(np.int32), tuple(names.tolist()))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def id_array(self) -> NDArray[np.str_]:
        """(N,) str, the ids, in memory."""
        return self.ids.as_array()

    @cached_property
    def group_array(self) -> NDArray[np.str_] | None:
        """(N,) str, the groups, in memory; None if the data have none."""
        return None if self.groups is None else np.array(self.group_names, dtype=str)[self.groups]

    def id_of(self, row: int) -> str:
        """The id of an entry."""
        return self.ids[row]

    def label_of(self, row: int) -> str:
        """The class name of an entry."""
        return self.classes[self.labels[row]]

    def rows(self, *, label: str | None = None, group: str | None = None) -> NDArray[np.int64] | None:
        """The rows of one class, of one group, or of both; None stands for all rows.

        Raises:
            InvalidInput: There is no such class or group.
        """
        if label is None and group is None:
            return None
        chosen = np.ones(len(self), bool)
        if label is not None:
            chosen &= self.labels == _number("label", label, self._class_numbers)
        if group is not None:
            number = _number("group", group, self._group_numbers)
            chosen &= np.zeros(len(self), bool) if self.groups is None else self.groups == number
        return np.flatnonzero(chosen)

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`; the names belong into the gallery's record."""
        np.save(folder / "labels.npy", self.labels, allow_pickle=False)
        np.save(folder / "ids.npy", self.ids.data, allow_pickle=False)
        np.save(folder / "id_ends.npy", self.ids.ends, allow_pickle=False)
        if self.groups is not None:
            np.save(folder / "groups.npy", self.groups, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, classes: tuple[str, ...], group_names: tuple[str, ...] | None) -> "Entries":
        """Map what `save` wrote.

        Raises:
            InvalidInput: A file is damaged, or the files do not fit together.
        """
        ids = Texts(map_array(folder / "ids.npy", np.uint8), map_array(folder / "id_ends.npy", np.int64))
        groups = None if group_names is None else map_array(folder / "groups.npy", np.int32)
        return cls(map_array(folder / "labels.npy", np.int64), ids, classes, groups, group_names or ())

    @cached_property
    def _class_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

    @cached_property
    def _group_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.group_names) if name}


def _numbers(values: NDArray[np.integer], names: Sequence[str]) -> bool:
    """Whether values are numbers of names."""
    return not len(values) or (int(values.min()) >= 0 and int(values.max()) < len(names))


def _number(what: str, name: str, known: dict[str, int]) -> int:
    if name in known:
        return known[name]
    similar = did_you_mean(name, known) if len(known) <= _COMPARED else ""
    raise InvalidInput(f"The gallery has no {what} {name!r}.", similar)
