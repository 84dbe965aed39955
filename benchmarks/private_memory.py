"""The private memory (RssAnon) of this process, at its peak within a block.

Pages of memory-mapped files are not counted, because the system reclaims them when it needs memory.
"""

import threading
from pathlib import Path
from types import TracebackType

_PAUSE_S = 0.01


class PrivatePeak:
    """Watches the private memory during a block.

    Attributes:
        before: Bytes when the block began.
        bytes: Bytes at the peak, after the block.
    """

    def __enter__(self) -> "PrivatePeak":
        self.before = self.bytes = private_bytes()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(_PAUSE_S):
            self.bytes = max(self.bytes, private_bytes())


def private_bytes() -> int:
    """The private memory of this process now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
