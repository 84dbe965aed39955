"""The TorchServe of a home, found by the state file, else by the configuration on a process's command line."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from model.files import read_json
from model.home import ServeFolder
from serving.backends.torchserve.configuration import Ports, queries_address, read_ports
from serving.processes import command_line, session_of
from serving.protocol import local_address

MAIN = "org.pytorch.serve.ModelServer"
_WORKER = "model_service_worker.py"
_SCRATCH = "-Djava.io.tmpdir="


@dataclass(frozen=True)
class Running:
    """A TorchServe that is alive."""

    pid: int
    ports: Ports
    scratch: str

    @property
    def address(self) -> str:
        """Address for queries."""
        return queries_address(self.scratch)

    @property
    def management(self) -> str:
        """Address for the registration of models."""
        return local_address(self.ports.management)


def find(folder: ServeFolder) -> Running | None:
    """The living server of this home: the recorded server, else a server that is not on record."""
    known = recorded(folder)
    if known is not None and _is_server(known.pid, folder):
        return known
    servers = (_from_command_line(pid, folder) for pid in server_pids(folder))
    return next((server for server in servers if server is not None), None)


def recorded(folder: ServeFolder) -> Running | None:
    """The server in the state file, whether its process lives or not; None if the file is missing or damaged."""
    try:
        state = read_json(folder.state)
        return Running(int(state["pid"]), Ports(**state["ports"]), str(state["scratch"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_ports(folder: ServeFolder) -> Ports | None:
    """The ports of the last server of this home."""
    try:
        return Ports(**read_json(folder.state)["ports"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_damaged(folder: ServeFolder) -> bool:
    """Whether there is a state file that cannot be read."""
    return os.path.lexists(folder.state) and last_ports(folder) is None


def server_pids(folder: ServeFolder) -> list[int]:
    """Every living server that was started with this home's configuration."""
    if not folder.config.exists():
        return []
    return [pid for pid in psutil.pids() if _is_server(pid, folder)]


def members(pids: set[int], folder: ServeFolder) -> list[psutil.Process]:
    """The living servers and workers of these servers' sessions. Processes that reused these PIDs are left out."""
    return [each for each in psutil.process_iter() if _is_member(each.pid, pids, folder)]


def scratch_of(pid: int) -> str | None:
    """Temporary folder of a server, from its command line."""
    return next((word.removeprefix(_SCRATCH) for word in command_line(pid) if word.startswith(_SCRATCH)), None)


def _from_command_line(pid: int, folder: ServeFolder) -> Running | None:
    scratch, ports = scratch_of(pid), read_ports(folder)
    return Running(pid, ports, scratch) if scratch and ports else None


def _is_server(pid: int, folder: ServeFolder) -> bool:
    line = command_line(pid)
    return MAIN in line and str(folder.config) in line


def _is_worker(pid: int, scratch: Path | None = None) -> bool:
    line = command_line(pid)
    named = any(Path(word).name == _WORKER for word in line)
    return named and (scratch is None or any(word.startswith(f"{scratch}/") for word in line))


def _is_member(pid: int, servers: set[int], folder: ServeFolder) -> bool:
    ours = session_of(pid) in servers
    return (ours and (_is_server(pid, folder) or _is_worker(pid))) or _is_worker(pid, folder.scratch)
