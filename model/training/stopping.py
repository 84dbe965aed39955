"""SIGTERM while training: the first one asks for an end after the step at hand, the second one is the end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """Within, the first SIGTERM is only noted: yields whether it came. A thread cannot be told, and is not."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL

    def note(*_: Any) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
