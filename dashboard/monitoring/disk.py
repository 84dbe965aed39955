"""The disk: what is free, and what the parts of GLOCAL_HOME take."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.home import Home

MOST_FILES = 200_000
"""Files of a part that are counted; of a larger part the page says `at least`."""
_PAUSE_EVERY, _PAUSE_S = 2_000, 0.02
"""Files after which the walk pauses, so that it takes nobody's disk."""


@dataclass(frozen=True)
class Usage:
    """What one part of a home takes.

    Attributes:
        name: Its name in the home.
        bytes: Bytes of its files, as they are listed.
        files: Their number.
        whole: Whether all of them were counted.
    """

    name: str
    bytes: int
    files: int
    whole: bool


@dataclass(frozen=True)
class Disk:
    """The disk of a home.

    Attributes:
        free: Bytes that are free.
        total: Bytes in all.
        parts: What the parts of the home take, the largest first; empty before they were counted.
        counted_at: When they were counted, in seconds since 1970; None before.
    """

    free: int
    total: int
    parts: tuple[Usage, ...] = ()
    counted_at: float | None = None


def measure(home: Home, before: Disk | None) -> Disk | None:
    """The disk now, with the parts as they were counted before; None if the home is not there."""
    try:
        now = shutil.disk_usage(home.root)
    except OSError:
        return None
    return Disk(now.free, now.total, *((before.parts, before.counted_at) if before else ()))


def count_parts(home: Home) -> tuple[Usage, ...]:
    """What each part of a home takes, the largest first. It walks through all files: not for a page to wait for."""
    names = sorted(home.names)
    found = [usage for name in names if (usage := _usage(home.root / name)) is not None]
    return tuple(sorted(found, key=lambda usage: -usage.bytes))


def _usage(path: Path) -> Usage | None:
    if not path.is_dir():
        try:
            return Usage(path.name, path.stat().st_size, 1, True)
        except OSError:
            return None
    size = count = 0
    for each in _sizes(path):
        size, count = size + each, count + 1
        if count >= MOST_FILES:
            return Usage(path.name, size, count, False)
        if not count % _PAUSE_EVERY:
            time.sleep(_PAUSE_S)
    return Usage(path.name, size, count, True)


def _sizes(root: Path) -> Iterator[int]:
    """The size of every file below a folder; links are not followed, and what vanishes meanwhile is left out."""
    waiting = [str(root)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            yield entry.stat(follow_symlinks=False).st_size
                    except OSError:
                        continue
        except OSError:
            continue
