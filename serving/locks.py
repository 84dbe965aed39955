"""One at a time, between processes: a lock that the system lets go of when its holder dies."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import Conflict

_PAUSE = 0.1


@contextmanager
def exclusive(file: Path, *, wait_s: float, busy: str) -> Iterator[None]:
    """Hold `file`'s lock for the block.

    Args:
        file: Is created, and stays.
        wait_s: How long to wait for whoever holds it.
        busy: The headline of the error.

    Raises:
        Conflict: It was not free in time.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with file.open("a") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise Conflict(busy, "Try again when it has finished.") from error
                time.sleep(_PAUSE)
        yield
