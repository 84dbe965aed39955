"""The logs of servers, which are bounded: those of our own processes, and what other servers print.

What servers print lies in files that grow as long as these run: a file that has become too large is emptied in place.

A server that writes its logs itself, in bounded files, prints hardly anything; others print all of them.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path

from model.home import ServeFolder

FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
"""The form of every line of our own processes' logs."""
_LOG_BYTES, _LOG_FILES = 20 * 2**20, 3
MAX_BYTES = 40 * 2**20
"""Bytes above which a file is emptied; logs that are bounded by their writers stay below half of it."""


def write_logs(files: Mapping[logging.Logger, Path]) -> None:
    """Let loggers of this process write into files of bounded size, each into its own; of other packages only warnings."""
    for logger, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
        handler.setFormatter(FORMAT)
        logger.addHandler(handler)
    logging.getLogger().setLevel(logging.WARNING)
    logging.raiseExceptions = False  # on a full disk each line that is lost would be a stack trace


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
