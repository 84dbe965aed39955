"""Memory that decoding takes, in a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = """
import re, sys
from contextlib import suppress
from pathlib import Path
from model.data.images import decode_image
from model.errors import InvalidInput

def status(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

files = [Path(name).read_bytes() for name in sys.argv[2:]]
decode_image(Path(sys.argv[1]).read_bytes())
Path("/proc/self/clear_refs").write_text("5")  # the peak begins again here
before = status("VmRSS")
for data in files:
    with suppress(InvalidInput):
        decode_image(data)
print(status("VmHWM") - before)
"""


def peak_growth(files: Sequence[bytes]) -> float:
    """The most megabytes that decoding any of `files` takes beside the file itself, whether or not an image comes of it."""
    from tests.support.encoded import blobs, encode

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(len(files) + 1)]
        for path, data in zip(paths, (encode(blobs()), *files), strict=True):
            path.write_bytes(data)
        words = [sys.executable, "-c", _SCRIPT, *map(str, paths)]
        return float(subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout)
