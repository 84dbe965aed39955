"""The process of one loaded version: a LitServe with its workers, in a session of its own, found by its folder.

serve/loaded/<name>@<version>/    the working folder of all its processes
    state.json                    its process, port and token, readable by its owner alone
    release/                      the release, unpacked
    worker-<pid>, failed-<pid>    a worker that has loaded the release, or could not
"""

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from model.errors import Unavailable
from model.files import read_json, write_json
from model.home import ServeFolder
from serving.archive import unpack_release
from serving.backends.port import Stored
from serving.printed import emptied
from serving.processes import command_line, end_processes, start_detached, worker_environment
from serving.protocol import RELEASE, local_address

NAME = "litserve"
MODULE = "serving.backends.litserve"
_SEPARATOR = "@"
_END_S = 10.0
_LOGS = 10
"""Logs that are kept of versions that are not loaded any more, the latest ones."""


@dataclass(frozen=True)
class Place:
    """The folder of a loaded version."""

    root: Path

    @classmethod
    def of(cls, folder: ServeFolder, name: str, version: str) -> "Place":
        """The folder of a version; neither part of its name holds the separator."""
        return cls(folder.loaded / f"{name}{_SEPARATOR}{version}")

    @property
    def name(self) -> str:
        """Name of the served model."""
        return self.root.name.partition(_SEPARATOR)[0]

    @property
    def version(self) -> str:
        """Its version."""
        return self.root.name.partition(_SEPARATOR)[2]

    @property
    def release(self) -> Path:
        """The unpacked release."""
        return self.root / RELEASE

    @property
    def state(self) -> Path:
        """File that names the process, its port and its token."""
        return self.root / "state.json"

    def log(self, folder: ServeFolder) -> Path:
        """What the process prints."""
        return folder.backend_logs(NAME) / f"{self.root.name}.log"

    def note(self, kind: str, pid: int) -> Path:
        """File by which a worker says that it is ready (`worker`) or has `failed`."""
        return self.root / f"{kind}-{pid}"

    def noted(self, kind: str) -> set[int]:
        """Ids of the workers that have said so, whether they live or not."""
        return {int(file.name.rpartition("-")[2]) for file in self.root.glob(f"{kind}-*")}


@dataclass(frozen=True)
class Running:
    """The process of a loaded version.

    Attributes:
        pid: Its id.
        port: Its port on loopback.
        token: What it wants to be shown.
        workers: Number of workers that were asked for.
    """

    pid: int
    port: int
    token: str
    workers: int

    @property
    def address(self) -> str:
        """Its address."""
        return local_address(self.port)

    def __repr__(self) -> str:
        return f"Running(pid={self.pid}, port={self.port})"


def places(folder: ServeFolder) -> list[Place]:
    """The folders of the versions that were loaded, whether their processes live or not."""
    return [Place(each) for each in sorted(folder.loaded.glob(f"*{_SEPARATOR}*")) if each.is_dir()]


def recorded(place: Place) -> Running | None:
    """The process on record, whether it lives or not; None if the record is missing or damaged."""
    try:
        state = read_json(place.state)
        return Running(int(state["pid"]), int(state["port"]), str(state["token"]), int(state["workers"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(place: Place) -> Running | None:
    """The process on record, if it lives."""
    known = recorded(place)
    return known if known is not None and _is_ours(known.pid, place) else None


def launch(folder: ServeFolder, stored: Stored) -> Place:
    """Start the process of a version, which writes its record itself. It does not answer yet.

    Raises:
        Unavailable: It cannot be started.
    """
    place = Place.of(folder, stored.name, stored.version)
    shutil.rmtree(place.root, ignore_errors=True)
    _remove_old_logs(folder)
    place.root.mkdir(parents=True, mode=0o700)
    unpack_release(stored.archive, place.root)
    command = [sys.executable, "-m", MODULE, str(place.root), str(stored.workers)]
    try:
        start_detached(command, folder=place.root, environment=worker_environment(folder), log=place.log(folder))
    except OSError as error:
        raise Unavailable("LitServe cannot be started.", f"{command[0]}: {error.strerror}") from error
    return place


def record_self(place: Place, workers: int, port: int) -> Running:
    """Put this process on record, with the port that it holds and a new token."""
    running = Running(os.getpid(), port, secrets.token_urlsafe(32), workers)
    write_json(place.state, asdict(running), mode=0o600)
    return running


def is_alive(place: Place) -> bool:
    """Whether a process of this version lives, on record or not."""
    return any(_members(place))


def is_starting(place: Place) -> bool:
    """Whether a server of this version was started, and has not yet put itself on record."""
    return recorded(place) is None and any(_is_ours(process.pid, place) for process in _members(place))


def end(place: Place) -> bool:
    """End the processes of a version, on record or not, and remove its folder; returns whether there was one."""
    ended = False
    while processes := list(_members(place)):  # again: a worker may have been started meanwhile
        end_processes(processes, wait_s=_END_S)
        ended = True
    shutil.rmtree(place.root, ignore_errors=True)
    return ended


def _remove_old_logs(folder: ServeFolder) -> None:
    """Remove the logs of versions that are not loaded, but for the latest of them."""
    loaded = {place.log(folder) for place in places(folder)}
    old = [log for log in folder.backend_logs(NAME).glob(f"*{_SEPARATOR}*.log") if log not in loaded]
    for log in sorted(old, key=lambda log: log.stat().st_mtime, reverse=True)[_LOGS:]:
        for file in (log, emptied(log)):
            file.unlink(missing_ok=True)


def _is_ours(pid: int, place: Place) -> bool:
    line = command_line(pid)
    return MODULE in line and str(place.root) in line


def _members(place: Place) -> Iterable[psutil.Process]:
    """The server of a version, its workers, and what Python starts beside them; also those whose server was killed."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_here = Path(process.cwd()) == place.root
            if is_here and (_is_ours(process.pid, place) or "multiprocessing" in " ".join(command_line(process.pid))):
                yield process
