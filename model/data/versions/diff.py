"""Two versions of data sets compared, sample by sample: what came, went, was relabelled or changed sides, and new leaks."""

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import SPLITS, Manifest, read_manifest
from model.data.versions.fetch import fetch, file_hashes
from model.home import Home
from model.progress import Progress
from model.schemas.data_diff import ChangedSample, DataDiff, DataSample, Leak, SplitChange, SplitSize
from model.schemas.data_pin import DataPin
from model.schemas.promotion_plan import TextChange

MOST_LEAKS = 10_000
"""Leaks that are named."""
_LEARNED = ("train", "val")


@dataclass(frozen=True)
class _Version:
    """One version with the MD5 of each sample's image."""

    manifest: Manifest
    images: list[str]

    @classmethod
    def of(cls, home: Home, pin: DataPin) -> "_Version":
        manifest, hashes = read_manifest(fetch(pin, home.data, home.datasets)), file_hashes(pin, home.data, home.datasets)
        return cls(manifest, [hashes[path] for path in manifest.paths.tolist()])

    def __len__(self) -> int:
        return len(self.images)

    def label(self, row: int) -> str:
        return self.manifest.classes[self.manifest.labels[row]]

    def split(self, row: int) -> str:
        return str(self.manifest.splits[row])

    def sample(self, row: int) -> DataSample:
        return DataSample(id=str(self.manifest.ids[row]), label=self.label(row), split=self.split(row))

    def content(self, row: int) -> Hashable:
        """What makes the sample the same in another version: the image's bytes and the box."""
        return self.images[row], self.manifest.box(row)

    @property
    def sides(self) -> dict[str, str]:
        """The side of each class; of a class that is in scenes as well, the side of its images."""
        found: dict[str, str] = {}
        for label, split in sorted({(self.label(row), self.split(row)) for row in range(len(self))}):
            found[label] = split if split != "scene" or label not in found else found[label]
        return found


def diff_data(home: Home, before: DataPin, after: DataPin, progress: Progress | None = None) -> DataDiff:
    """What differs between two versions, of one data set or of two.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        before: The first version.
        after: The second version.
        progress: Called for every chunk of images that are looked at for leaks.

    Raises:
        NotFound: A revision or its files are gone.
        InvalidInput: The files are not those that were pinned.
    """
    one, other = _Version.of(home, before), _Version.of(home, after)
    pairs, removed, added = _paired(one, other)
    moved = [pair for pair in pairs if one.split(pair[0]) != other.split(pair[1])]
    classes, now = one.sides, other.sides
    new = np.zeros(len(other), bool)
    new[[*added, *(row for _, row in moved)]] = True
    return DataDiff(
        before=before,
        after=after,
        samples=len(pairs),
        added=tuple(map(other.sample, added)),
        removed=tuple(map(one.sample, removed)),
        relabelled=_changed(one, other, [pair for pair in pairs if one.label(pair[0]) != other.label(pair[1])]),
        moved=_changed(one, other, moved),
        renamed=sum(one.manifest.paths[left] != other.manifest.paths[right] for left, right in pairs),
        classes_added=tuple(sorted(now.keys() - classes.keys())),
        classes_removed=tuple(sorted(classes.keys() - now.keys())),
        classes_moved={
            name: TextChange(before=side, after=now[name]) for name, side in classes.items() if name in now and now[name] != side
        },
        splits=_splits(one.manifest, other.manifest),
        seen=sum(one.split(left) in _LEARNED and other.split(right) == "test" for left, right in moved),
        leaks=_leaks(other, new, progress),
    )


def _paired(one: _Version, other: _Version) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """The rows of the samples that both have, of those of the first alone, and of those of the second alone.

    Of several copies of an image, those with one label belong together.
    """
    rows, others = list(range(len(one))), list(range(len(other)))
    labelled, rows, others = _matched(
        {row: (one.content(row), one.label(row)) for row in rows}, {row: (other.content(row), other.label(row)) for row in others}
    )
    relabelled, rows, others = _matched({row: one.content(row) for row in rows}, {row: other.content(row) for row in others})
    return sorted([*labelled, *relabelled], key=lambda pair: pair[1]), rows, others


def _matched(one: dict[int, Hashable], other: dict[int, Hashable]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs of rows of one key, in order, and the rows that are left on either side."""
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for row, key in one.items():
        waiting[key].append(row)
    pairs, left = list[tuple[int, int]](), list[int]()
    for row, key in other.items():
        if waiting.get(key):
            pairs.append((waiting[key].popleft(), row))
        else:
            left.append(row)
    return pairs, sorted(row for rows in waiting.values() for row in rows), left


def _changed(one: _Version, other: _Version, pairs: Sequence[tuple[int, int]]) -> tuple[ChangedSample, ...]:
    return tuple(ChangedSample(before=one.sample(left), after=other.sample(right)) for left, right in pairs)


def _splits(before: Manifest, after: Manifest) -> dict[str, SplitChange]:
    sizes = {split: SplitChange(before=_size(before, split), after=_size(after, split)) for split in SPLITS}
    return {split: change for split, change in sizes.items() if change.before.samples or change.after.samples}


def _size(manifest: Manifest, split: str) -> SplitSize:
    rows = manifest.rows(split)
    return SplitSize(samples=len(rows), classes=len(np.unique(manifest.labels[rows])))


def _leaks(version: _Version, new: NDArray[np.bool_], progress: Progress | None) -> tuple[Leak, ...]:
    """Pairs on two sides of the split that look the same, with at least one of the `new` (N,) samples."""
    if not new.any():
        return ()
    from model.data.appearance import appearances_of  # torch, which equal versions do without

    splits, found = version.manifest.splits, list[Leak]()
    for one, other in appearances_of(version.manifest, progress).alike(np.arange(len(version))):
        leaked = (splits[one] != splits[other]) & (new[one] | new[other])
        for left, right in zip(one[leaked].tolist(), other[leaked].tolist(), strict=True):
            found.append(Leak(one=version.sample(left), other=version.sample(right)))
            if len(found) == MOST_LEAKS:
                return tuple(found)
    return tuple(found)
