"""Memory that a process takes at most while something happens, and that decoding takes, in a process of its own."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


class Peak:
    """The growth of a process's resident memory within the block, at its peak.

    Attributes:
        mb: Megabytes, after the block.
    """

    def __init__(self, pid: int | str = "self") -> None:
        self._process = Path("/proc", str(pid))

    def __enter__(self) -> "Peak":
        (self._process / "clear_refs").write_text("5")  # the peak begins again here
        self._before = self._resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.mb = self._resident("VmHWM") - self._before

    def _resident(self, name: str) -> float:
        return int(re.search(name + r":\s+(\d+)", (self._process / "status").read_text())[1]) / 1024


_SCRIPT = """
import sys
from contextlib import suppress
from pathlib import Path
from model.data.images import decode_image
from model.errors import InvalidInput
from tests.support.memory import Peak

files = [Path(name).read_bytes() for name in sys.argv[2:]]
decode_image(Path(sys.argv[1]).read_bytes())
with Peak() as peak:
    for data in files:
        with suppress(InvalidInput):
            decode_image(data)
print(peak.mb)
"""
_ROOT = Path(__file__).parents[2]


def peak_growth(files: Sequence[bytes]) -> float:
    """The most megabytes that decoding any of `files` takes beside the file itself, whether or not an image comes of it."""
    from tests.support.encoded import blobs, encode

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(len(files) + 1)]
        for path, data in zip(paths, (encode(blobs()), *files), strict=True):
            path.write_bytes(data)
        words = [sys.executable, "-c", _SCRIPT, *map(str, paths)]
        return float(subprocess.run(words, capture_output=True, text=True, check=True, timeout=120, cwd=_ROOT).stdout)
