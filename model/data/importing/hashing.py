"""The MD5 of every file of a source: how an import recognises that nothing changed, without decoding an image."""

import hashlib
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from model.data.decoding.limits import ImageLimits
from model.data.importing.chunks import over_chunks
from model.data.importing.listing import Listing
from model.data.importing.reading import Defect, read_file
from model.progress import Progress


def hash_files(listing: Listing, limits: ImageLimits, progress: Progress) -> NDArray[np.uint8]:
    """(F, 16) the MD5 of every file; zeros for one that cannot be read. Nothing is decoded."""
    hashes = np.zeros((len(listing.files), 16), np.uint8)

    def work(chunk: range) -> None:
        for file in chunk:
            with suppress(Defect):
                hashes[file] = md5(read_file(listing.root / listing.files[file], limits))

    for _ in over_chunks(work, len(listing.files), "files compared with the last import", progress):
        pass
    return hashes


def md5(data: bytes) -> NDArray[np.uint8]:
    """(16,) the MD5 of some bytes, by which DVC names them."""
    return np.frombuffer(hashlib.md5(data, usedforsecurity=False).digest(), np.uint8)
