"""The files of a source as bytes: read with a limit, hashed in threads, not decoded."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from model.data.decoding.limits import ImageLimits
from model.data.importing.sources import Listing
from model.progress import Progress

Result = TypeVar("Result")
CHUNK = 64
WORKERS = min(8, (os.cpu_count() or 1) + 1)


class Defect(Exception):
    """Why one file is refused."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


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


def over_chunks(work: Callable[[range], Result], count: int, phase: str, progress: Progress) -> Iterator[Result]:
    """Run `work` over chunks of range(count) in threads, a few chunks ahead, and yield what it returns, in order."""
    chunks = (range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))
    done = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        running: list[Future[Result]] = [pool.submit(work, chunk) for chunk in islice(chunks, 4 * WORKERS)]
        while running:
            result = running.pop(0).result()
            running.extend(pool.submit(work, chunk) for chunk in islice(chunks, 1))
            done = min(done + CHUNK, count)
            progress(done, count, phase)
            yield result


def read_file(path: Path, limits: ImageLimits) -> bytes:
    """A file's bytes, unless there are too many of them."""
    try:
        # O_NONBLOCK: a pipe put in the file's place since it was listed must not hang the import
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            data = stream.read(limits.max_bytes + 1)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise Defect("unreadable", error.strerror or "it cannot be opened") from error
    if len(data) > limits.max_bytes:
        raise Defect("oversized", f"it has {size} bytes, more than {limits.max_bytes}")
    if not data:
        raise Defect("unreadable", "it is empty")
    return data


def md5(data: bytes) -> NDArray[np.uint8]:
    """The MD5 of some bytes, (16,): a name for them, as DVC gives it."""
    return np.frombuffer(hashlib.md5(data, usedforsecurity=False).digest(), np.uint8)
