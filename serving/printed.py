"""What servers print lies in files that grow as long as these run: a file that has become too large is emptied in place.

A server that writes its logs itself, in bounded files, prints hardly anything; others print all of them.
"""

import contextlib
import os
import shutil
from pathlib import Path

from model.home import ServeFolder

MAX_BYTES = 40 * 2**20
"""Bytes above which a file is emptied; logs that are bounded by their writers stay below half of it."""


def bound_logs(folder: ServeFolder) -> None:
    """Empty each log that is too large. What it held is kept beside it, as `<name>.1`, where the disk has room for that.

    Its writers append, so that they write on at its new end. What they write between copy and emptying is lost.
    """
    for log in folder.logs.glob("*/*.log"):
        with contextlib.suppress(OSError):
            if log.stat().st_size > MAX_BYTES and not log.is_symlink():
                with contextlib.suppress(OSError):
                    shutil.copyfile(log, emptied(log))
                os.truncate(log, 0)


def emptied(log: Path) -> Path:
    """The file that keeps what a log held before it was emptied."""
    return log.with_name(f"{log.name}.1")
