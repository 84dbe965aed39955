"""Temporary folders with a lock of their owner, so that those of killed processes can be removed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.locks import hold, is_held

_PREFIX = "glocal-"
_OWNER = ".owner"


@contextmanager
def scratch_folder(use: str) -> Iterator[Path]:
    """A folder within the system's temporary folder, for the block.

    Its owner holds the lock of a file in it, which the system releases when the owner ends in any way.

    Args:
        use: Use of the folder, which is part of its name.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{use}-"))
    try:
        with hold(folder / _OWNER):
            inside = folder / use
            inside.mkdir()
            yield inside
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def abandoned() -> list[Path]:
    """The scratch folders of this user whose owners are dead."""
    found = []
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError):  # another user owns it, or it is gone
            folder = owner.parent
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and not is_held(owner):
                found.append(folder)
    return found


def remove_abandoned() -> list[Path]:
    """Remove the scratch folders whose owners are dead; returns them."""
    removed = []
    for folder in abandoned():
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
            removed.append(folder)
    return removed
