"""Work on the files of a listing in threads, some files at a time."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from model.prefetching import prefetch
from model.progress import Progress

Result = TypeVar("Result")
CHUNK = 64
"""Files that a thread works on before it reports."""
WORKERS = min(8, (os.cpu_count() or 1) + 1)


def over_chunks(work: Callable[[range], Result], count: int, phase: str, progress: Progress) -> Iterator[Result]:
    """Run `work` over chunks of range(count) in threads, a few chunks ahead, and yield its results in order."""
    chunks = (range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))
    done = 0
    for result in prefetch((partial(work, chunk) for chunk in chunks), WORKERS):
        done = min(done + CHUNK, count)
        progress(done, count, phase)
        yield result
