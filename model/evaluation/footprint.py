"""The memory of a release at work, measured in a process of its own.

    python -m model.evaluation.footprint RELEASE IMAGE ...    # MiB

A fresh process opens the release and answers each image, one at a time, by a search and, if the release detects, a detection. Its
peak resident memory holds Python, the libraries, the network, and what was read of gallery, local features and exemplars.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from model.errors import Unavailable

_TIMEOUT_S = 600


def measure_memory(release: Path, images: Sequence[Path]) -> float:
    """Peak resident memory, in MiB, of a process that answers queries.

    Args:
        release: Folder of the release.
        images: Files to query with, one at least.

    Raises:
        Unavailable: The process ended without an answer, as it does where there is too little memory.
    """
    command = [sys.executable, "-m", "model.evaluation.footprint", str(release), *map(str, images)]
    try:
        answered = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable(
            "The release gave no answer in a process of its own, in which its memory is measured.",
            "Free memory, and run the pipeline again; the step's log has the process's last words.",
        ) from error
    return float(answered.stdout.split()[-1])


def _answer(folder: Path, images: Sequence[Path]) -> None:
    from model.data.images import decode_image
    from model.release import open_release

    release = open_release(folder)
    retriever, detector = release.retriever(), release.detector
    for file in images:
        image = decode_image(file.read_bytes())
        retriever.search([image], 5)
        if detector:
            detector.detect(image)


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    print(round(_peak_mb(), 1))
