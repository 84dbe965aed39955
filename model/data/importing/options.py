"""What, besides the images, decides what an import stores; and the hash over all of it."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.importing.sources import Listing

FORMAT = 2
"""Raised when the same source would be stored differently, so that an old import is not taken for the same."""


@dataclass(frozen=True)
class Options:
    """What, besides the images, decides what is stored."""

    split: str
    validation_fraction: float
    leaks: str
    max_bytes: int
    max_pixels: int
    remote: str | None
    licence: str = ""


def fingerprint(listing: Listing, hashes: NDArray[np.uint8], options: Options) -> str:
    """A hash of everything that decides what is stored: options, names, rows, and the files' own hashes."""
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(options), listing.labels], sort_keys=True).encode())
    for part in (listing.files, listing.file, listing.label, listing.given, listing.boxes, listing.groups, hashes):
        digest.update(part.tobytes())
    return digest.hexdigest()
