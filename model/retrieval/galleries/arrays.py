"""Arrays on disk that are memory-mapped, so that processes share them. No pickle."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from model.errors import InvalidInput

LARGEST = 16 * 2**30
"""Largest array that is read, in bytes: 8 million vectors of 512 dimensions."""
BLOCK = 2**24
"""Bytes of vectors that are worked on at a time."""


def map_array(file: Path, dtype: DTypeLike, *, dimensions: int = 1) -> NDArray[Any]:
    """Map an array whose header agrees with the size of the file. It cannot be written to.

    Args:
        file: A .npy file.
        dtype: Type that the elements must have.
        dimensions: Number of dimensions that it must have.

    Raises:
        InvalidInput: The file holds anything else.
    """
    wanted = np.dtype(dtype)
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, stored = read(stream, max_header_size=4096)  # type: ignore[no-untyped-call]
            start = stream.tell()
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise InvalidInput(f"{file.name} is no array.") from error
    size = start + math.prod(shape) * wanted.itemsize
    declared = stored == wanted and len(shape) == dimensions and min(shape) >= 0 and (dimensions == 1 or not by_columns)
    if not declared or size != file.stat().st_size or size > LARGEST:
        kind = f"{wanted} matrix" if dimensions == 2 else f"{wanted} array"
        raise InvalidInput(f"{file.name} is not the {kind} that its header declares.")
    if 0 in shape:
        return np.empty(shape, wanted)
    return np.asarray(np.memmap(file, wanted, "r", start, shape))


def blocks(count: int, dimensions: int) -> list[slice]:
    """The rows of `count` float32 vectors in blocks of some megabytes."""
    step = max(1, BLOCK // (4 * max(1, dimensions)))
    return [slice(start, start + step) for start in range(0, count, step)]
