"""Signals that end a process: their exit codes, and leaving a block at SIGTERM and SIGHUP as at Ctrl-C."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALLED = 128
"""Exit code of a process that a signal ended, less the number of the signal, as shells have it."""
_LAST = 64
"""Highest number of a signal on Linux."""
_CAUGHT = (signal.SIGTERM, signal.SIGHUP)


def signal_of(code: int) -> int:
    """Number of the signal that ended a process, or the command of a shell, by its exit code; 0 if none did."""
    number = -code if code < 0 else code - SIGNALLED
    return number if 0 < number <= _LAST else 0


@contextmanager
def ended_by_signals(exit_code: int | None = None) -> Iterator[None]:
    """Leave the block with `SystemExit` at the first signal; the second one ends the process at once.

    A signal that is ignored, as SIGHUP is below `nohup`, stays ignored.

    Args:
        exit_code: The exit code of the process; None: the signal's, as shells have it.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        sys.exit(SIGNALLED + number if exit_code is None else exit_code)

    before = {number: signal.getsignal(number) for number in _CAUGHT}
    caught = {number: handler for number, handler in before.items() if handler == signal.SIG_DFL}
    for number in caught:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)
