"""The process group of a run, which ends with the run and with the process that started it."""

import atexit
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from model.locks import is_held, wait_for

_GRACE_S = 1.0
_PAUSE_S = 0.05
_LAST_LOOK_S = 0.2


def end_with(lock: Path, before: Callable[[], None] = lambda: None) -> None:
    """End the group of this process as soon as no process holds `lock`. The group's leader calls this function first.

    The leader may end before its watching thread sees the free lock, for instance at a broken pipe. So at its own end it gives
    the thread time for one more look, and then checks the lock itself.

    Args:
        lock: The lock.
        before: Ends what the group has begun outside it; called first.
    """

    def end() -> None:
        with contextlib.suppress(Exception):  # the group ends in any case
            before()
        os.killpg(os.getpgid(0), signal.SIGKILL)

    def watch() -> None:
        wait_for(lock)
        end()

    def look_again() -> None:
        watcher.join(_LAST_LOOK_S)
        if not is_held(lock):
            end()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    atexit.register(look_again)


def end_group(leader: subprocess.Popen[str]) -> None:
    """End the remaining processes of a group: SIGTERM, at which a training writes a checkpoint, and SIGKILL a second later.

    Args:
        leader: Process that leads the group; it was started in a new session.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, number)
        deadline = time.monotonic() + _GRACE_S
        while _lives(leader) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
    leader.wait()


def _lives(leader: subprocess.Popen[str]) -> bool:
    leader.poll()  # reaps the leader: its group would live on as long as it is a zombie
    try:
        os.killpg(leader.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
