"""SIGTERM and SIGHUP end a command as Ctrl-C does: what it began is closed, and the exit code is 128 and the signal's number."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipelines.cli.console import say

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Leave the block with `SystemExit` at the first signal; the second one ends the process at once.

    A signal that is ignored, as SIGHUP is below `nohup`, stays ignored.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        say("Stopped. The same command resumes.")
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = {number: handler for number, handler in before.items() if handler == signal.SIG_DFL}
    for number in caught:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)
