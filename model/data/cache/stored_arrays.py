"""Arrays on disk with one row for each sample, computed once, so that memory does not grow with the data."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from model.files import read_json, write_json
from model.locks import hold

Arrays = tuple[NDArray[Any], ...]
_FLUSH_EVERY = 10
"""Batches after which the finished rows are on disk for certain."""


def stored_arrays(
    cache: Path, names: tuple[str, ...], rows: int, batches: Callable[[int], Iterator[Arrays]], progress: Callable[[int], None]
) -> Arrays:
    """The arrays of these names, memory-mapped, read from `cache` or computed into it. A killed computation is resumed.

    A damaged cache is computed again.

    Args:
        cache: A folder for these arrays alone; it appears when all rows are finished. Calls with the same folder take turns.
        names: Names of the arrays.
        rows: Number of rows of each array.
        batches: Function from the number of finished rows to the remaining batches, each with one array (B, ...) for each name.
        progress: Called after every batch with the number of finished rows.
    """
    found = _stored(cache, names, rows)
    if found is None:
        with hold(cache.with_name(cache.name + ".lock")):
            found = _stored(cache, names, rows)
            if found is None:
                shutil.rmtree(cache, ignore_errors=True)
                partial = cache.with_name(cache.name + ".partial")
                _fill(partial, names, rows, batches, progress)
                partial.rename(cache)
    return found or tuple(np.load(cache / f"{name}.npy", mmap_mode="r") for name in names)


def _stored(folder: Path, names: tuple[str, ...], rows: int) -> Arrays | None:
    """The arrays in a folder; None if one is missing, cut off, or of another number of rows."""
    try:
        found = tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, EOFError):
        return None
    return found if all(array.ndim and len(array) == rows for array in found) else None


def _done(partial: Path, names: tuple[str, ...], rows: int) -> int:
    """The finished rows of a killed computation; 0 if what it left is damaged."""
    try:
        done = int(read_json(partial / "done.json"))
    except (OSError, ValueError, TypeError):
        return 0
    return done if 0 < done <= rows and _stored(partial, names, rows) else 0


def _fill(
    partial: Path, names: tuple[str, ...], rows: int, batches: Callable[[int], Iterator[Arrays]], progress: Callable[[int], None]
) -> None:
    done_file = partial / "done.json"
    done = _done(partial, names, rows)
    if not done:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    files: list[NDArray[Any]] = []
    for step, batch in enumerate(batches(done) if done < rows else ()):
        files = files or [_open(partial / f"{name}.npy", rows, part, done) for name, part in zip(names, batch, strict=True)]
        for file, part in zip(files, batch, strict=True):
            file[done : done + len(part)] = part
        done += len(batch[0])
        if step % _FLUSH_EVERY == _FLUSH_EVERY - 1 or done == rows:
            for file in files:
                file.flush()  # type: ignore[attr-defined]  # a memmap
            write_json(done_file, done)
        progress(done)


def _open(path: Path, rows: int, part: NDArray[Any], done: int) -> NDArray[Any]:
    if done:
        return np.load(path, mmap_mode="r+")  # type: ignore[no-any-return]
    return open_memmap(path, mode="w+", dtype=part.dtype, shape=(rows, *part.shape[1:]))  # type: ignore[no-untyped-call]
