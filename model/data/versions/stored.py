"""A version of a data set read where it lies on this machine: nothing is copied, nothing is downloaded, and DVC is not opened.

DVC keeps every file as `.dvc/cache/files/md5/<2>/<30 digits>` of the repository, and the list of a version's files likewise, with
`.dir` at its end. What is not there is looked for in the folder that `fetch` made.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import MANIFEST, SPLITS, Manifest, read_manifest
from model.errors import InvalidInput, NotFound
from model.files import read_json
from model.home import DataStore

_KEPT = 4
"""Versions that are kept open: a hundred thousand samples take some thirty megabytes."""
_LARGEST = 2**30
"""Bytes of the list of files, of which a million take a hundred megabytes."""
_GONE = "Its files are not on this machine any more. A run on this version, or glocal data diff, fetches them."


@dataclass(frozen=True)
class StoredVersion:
    """A version that was opened.

    Attributes:
        store: The store that keeps it.
        md5: DVC's hash of the version.
        manifest: Its samples.
        images: (N,) bytes, MD5 of each sample's image in hexadecimal; empty where the list of files is not here.
    """

    store: DataStore
    md5: str
    manifest: Manifest
    images: NDArray[np.bytes_]

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each sample by its id."""
        return {name: row for row, name in enumerate(self.manifest.ids.tolist())}

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(C, S) int64, samples of each class on each side of the split, in the order of `SPLITS`."""
        counts = np.zeros((len(self.manifest.classes), len(SPLITS)), np.int64)
        for number, split in enumerate(SPLITS):
            counts[:, number] = np.bincount(self.manifest.labels[self.manifest.rows(split)], minlength=len(counts))
        return counts

    def read(self, row: int, most: int) -> bytes:
        """The first bytes of the image of a sample.

        Args:
            row: Row of the sample.
            most: Maximum number of bytes.

        Raises:
            NotFound: There is no such sample, or its file is not on this machine.
        """
        if not 0 <= row < len(self.manifest):
            raise NotFound(f"This version has no sample {row}.")
        known = self.images[row].decode()
        for file in (*([stored_object(self.store, known)] if known else []), self._fetched(row)):
            try:
                with file.open("rb") as stream:
                    return stream.read(most)
            except OSError:
                continue
        raise NotFound("The file of this image is not on this machine.", _GONE)

    def _fetched(self, row: int) -> Path:
        """The file in the folder of `fetch`; a path that leads out of it is refused.

        Raises:
            NotFound: The path leads out of the folder.
        """
        folder = self.manifest.folder
        file = (folder / str(self.manifest.paths[row])).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise NotFound("The path of this image leads out of its data set.")
        return file


def stored_object(store: DataStore, md5: str) -> Path:
    """Where DVC's cache has a file of this MD5, whether it does or not."""
    return store.repo / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


@lru_cache(maxsize=_KEPT)
def open_stored(store: DataStore, md5: str) -> StoredVersion:
    """Open a version.

    Args:
        store: The store.
        md5: DVC's hash of the version, as its pin has it.

    Raises:
        NotFound: Its files are not on this machine.
        InvalidInput: The list of its files, or its table, is damaged.
    """
    folder, hashes = store.home.datasets / md5, _listed(stored_object(store, f"{md5}.dir"))
    table = stored_object(store, hashes[MANIFEST]) if MANIFEST in hashes else None
    if table is None or not table.is_file():
        table = folder / MANIFEST
    if not table.is_file():
        raise NotFound("The images of this version are not on this machine.", _GONE)
    manifest = read_manifest(folder, table)
    images = np.array([hashes.get(path, "") for path in manifest.paths.tolist()], dtype="S32")
    return StoredVersion(store, md5, manifest, images)


def _listed(file: Path) -> dict[str, str]:
    """The MD5 of every file of a version, by path; empty if the list is not here."""
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidInput(f"{file} is larger than a list of files.", _GONE)
        return {str(entry["relpath"]): str(entry["md5"]) for entry in read_json(file)}
    except OSError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} is damaged.", "Restore the remote, or import the data again.") from error
