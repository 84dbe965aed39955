"""Install requirements.lock and this project into an environment, and say how far that is. Run by `make setup`.

    .venv/bin/python infra/install.py

pip prints four lines a package and then nothing for minutes; this counts the packages instead. Only the standard library is used.
"""

import re
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
_PIP = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--progress-bar", "off")
_PINNED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?==", re.MULTILINE)
_COLLECTING = re.compile(r"(?:Collecting|Requirement already satisfied:) (\S+?)==")
_EVERY = 25
"""Packages between two lines of progress where the last one cannot be overwritten."""


class Progress:
    """Says `downloaded 120 of 300 packages (torch)`: on a terminal in one line, elsewhere now and then."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._live = sys.stdout.isatty()
        self._said = ("", -1)

    def show(self, what: str, done: int, detail: str = "") -> None:
        """Show how many packages are done."""
        text = f"  {what} {done} of {self.total} packages{f' ({detail})' if detail else ''}"
        if self._live:
            print(f"\r\x1b[K{text}", end="\n" if done >= self.total else "", flush=True)
        elif what != self._said[0] or done // _EVERY > self._said[1] // _EVERY or done >= self.total > self._said[1]:
            print(text, flush=True)
            self._said = (what, done)


def pinned(lock: str) -> int:
    """Number of packages that a lock file pins."""
    return len(_PINNED.findall(lock))


def follow(lines: Iterable[str], progress: Progress, installing: threading.Event) -> list[str]:
    """Count the packages that pip collects; returns the last lines of what it said."""
    done, last = 0, []
    for line in lines:
        last = [*last[-20:], line]
        if found := _COLLECTING.search(line):
            done += 1
            progress.show("downloaded", done, found[1])
        elif line.startswith("Installing collected packages"):
            installing.set()
    return last


def _count_installed(progress: Progress, installing: threading.Event, ended: threading.Event) -> None:
    """While pip installs, which it does without a word, count what has arrived."""
    while not ended.wait(1):
        if installing.is_set():
            arrived = sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
            progress.show("installed", min(arrived, progress.total - 1))


def install(lock: Path = LOCK) -> int:
    """Install the locked packages and then the project itself; returns pip's exit code."""
    progress, began = Progress(pinned(lock.read_text(encoding="utf-8"))), time.monotonic()
    installing, ended = threading.Event(), threading.Event()
    command = [*_PIP, "--require-hashes", "-r", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as pip:
        counting = threading.Thread(target=_count_installed, args=(progress, installing, ended), daemon=True)
        counting.start()
        last = follow(pip.stdout or (), progress, installing)
        code = pip.wait()
        ended.set()
        counting.join()
    if code:
        print("\n" + "".join(last), file=sys.stderr)
        return code
    progress.show("installed", progress.total, f"{time.monotonic() - began:.0f} s")
    return subprocess.run([*_PIP, "--quiet", "--no-build-isolation", "--editable", str(ROOT)], check=False).returncode


if __name__ == "__main__":
    sys.exit(install())
