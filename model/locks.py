"""Locks between processes. The system releases a lock when its holder ends in any way."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from model.errors import Conflict

_POLL_S = 0.05
_LOOK_S = 0.1
"""Seconds that a lock is always waited for, as a look of `is_held` may have it for a moment."""
FOREVER = -1.0


@contextmanager
def hold(
    file: Path, *, wait_s: float = FOREVER, busy: str = "Another process is at work.", waiting: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock of `file` for the block.

    Args:
        file: The lock file. It is created and stays.
        wait_s: Seconds to wait for the present holder.
        busy: Headline of the error.
        waiting: Called once if another process holds the lock.

    Raises:
        Conflict: The lock was not free in time.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, poll_interval=_POLL_S)
    try:
        lock.acquire(timeout=_LOOK_S)
    except Timeout:
        if waiting:
            waiting()
        try:
            lock.acquire(timeout=wait_s)
        except Timeout as error:
            raise Conflict(busy, "Try again when it has finished.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lend(file: Path) -> Iterator[int]:
    """Hold the lock of a new file for the block and for the processes that are started in it and inherit the descriptor.

    Each of them holds it until it ends, whatever becomes of this process.

    Yields:
        The descriptor.
    """
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def may_hold(file: Path) -> bool:
    """Whether this user may hold the lock of `file`: whether the file, or a new file in its folder, may be written."""
    if file.exists():
        return os.access(file, os.W_OK)
    existing = next((folder for folder in file.parents if folder.exists()), file.parent)
    return os.access(existing, os.W_OK | os.X_OK)


def is_held(file: Path) -> bool:
    """Whether a process holds the lock of `file`; False if there is no such file. Looks at the same time see the same."""
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # which looks share, and a holder does not
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    return False


def wait_for(file: Path) -> None:
    """Return when no process holds the lock of `file` any more."""
    FileLock(file, poll_interval=_POLL_S).acquire()
