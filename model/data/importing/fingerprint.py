"""The fingerprint of an import: a hash of all that decides what it stores."""

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from model.config import DataConfig
from model.data.importing.listing import Listing

FORMAT = 3
"""Number of the way in which imports are stored. It is raised when the same source would be stored differently."""


def fingerprint(listing: Listing, hashes: NDArray[np.uint8], config: DataConfig, remote: str | None) -> str:
    """The hash of an import: of its settings, names and rows, and of the files' own hashes.

    Args:
        listing: The listing of the source.
        hashes: (F, 16) uint8, the MD5 of every file.
        config: Settings of the import, the licence included.
        remote: Address where the version is kept as well.
    """
    settings = [FORMAT, config.model_dump(), remote, listing.labels]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for part in (listing.files, listing.file, listing.label, listing.given, listing.boxes, listing.groups, hashes):
        digest.update(part.tobytes())
    return digest.hexdigest()
