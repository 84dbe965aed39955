"""A small disk of its own, which can be full or read-only for a while."""

import contextlib
import subprocess
from contextlib import contextmanager

import pytest


class Disk:
    """A small disk.

    Attributes:
        root: Where it is mounted.
    """

    def __init__(self, root):
        self.root = root

    @contextmanager
    def full(self):
        """No byte is left on it within the block."""
        fillers = [self.root / f"filler-{size}" for size in ("64k", "1")]
        try:
            for filler in fillers:
                words = ["dd", "if=/dev/zero", f"of={filler}", f"bs={filler.name.partition('-')[2]}"]
                assert b"No space left" in subprocess.run(words, capture_output=True, check=False).stderr
            yield
        finally:
            for filler in fillers:
                filler.unlink(missing_ok=True)

    @contextmanager
    def read_only(self):
        """It is mounted read-only within the block."""
        _run("mount", "--bind", self.root, self.root)
        try:
            _run("mount", "-o", "remount,bind,ro", self.root)
            yield
        finally:
            _run("umount", "-l", self.root)


@contextmanager
def small_disk(root, *, mib=64):
    """A disk that is mounted at a folder for the block; where this user may not mount one, the test skips."""
    root.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", root)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a small disk (mount -t tmpfs)")
    try:
        yield Disk(root)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("umount", "-l", root)


def _run(*words):
    subprocess.run([str(each) for each in words], check=True, capture_output=True)
