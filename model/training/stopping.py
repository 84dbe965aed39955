"""SIGTERM during training: the first one ends the training after the current step, the second one ends the process.

Under torchrun only the first one counts: a process group gets it, and the launcher passes it on. The launcher ends who lingers.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def sigterm_flag() -> Iterator[Callable[[], bool]]:
    """Catch the first SIGTERM: yields a function that tells whether it arrived. Outside the main thread nothing is caught."""
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL

    def catch(*_: Any) -> None:
        received.set()
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, catch)
    try:
        yield received.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
