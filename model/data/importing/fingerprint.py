"""A hash over all that decides what an import stores: settings, names, rows, and the files' own hashes."""

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from model.config import DataConfig
from model.data.importing.listing import Listing

FORMAT = 3
"""Raised when the same source would be stored differently, so that an old import is not taken for the same."""


def fingerprint(listing: Listing, hashes: NDArray[np.uint8], config: DataConfig, remote: str | None) -> str:
    """The hash of an import.

    Args:
        listing: What the source holds.
        hashes: (F, 16) uint8, the MD5 of every file.
        config: The settings, the licence among them.
        remote: Where the version is kept as well.
    """
    settings = [FORMAT, config.model_dump(), remote, listing.labels]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for part in (listing.files, listing.file, listing.label, listing.given, listing.boxes, listing.groups, hashes):
        digest.update(part.tobytes())
    return digest.hexdigest()
