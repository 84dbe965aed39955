"""TorchServe's process: started detached on loopback, found again, ended with everything it started."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path

import psutil

from model.errors import Unavailable
from model.files import read_json, write_json, write_text
from model.home import ServeFolder
from serving.backends.torchserve.configuration import (
    LOOPBACK,
    Limits,
    Ports,
    environment,
    java_program,
    logging_xml,
    properties,
)

_MAIN = "org.pytorch.serve.ModelServer"
_WORKER = "model_service_worker.py"
_LONGEST_SOCKET_FOLDER = 80


@dataclass(frozen=True)
class Running:
    """A TorchServe that is alive."""

    pid: int
    ports: Ports
    scratch: str

    @property
    def address(self) -> str:
        """Where queries go."""
        return f"http://{LOOPBACK}:{self.ports.inference}"

    @property
    def management(self) -> str:
        """Where models are registered."""
        return f"http://{LOOPBACK}:{self.ports.management}"


def find(folder: ServeFolder) -> Running | None:
    """The server that the state file names, if it is alive and ours."""
    try:
        state = read_json(folder.state)
        running = Running(int(state["pid"]), Ports(**state["ports"]), str(state["scratch"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return running if _is_server(running.pid, folder) else None


def launch(folder: ServeFolder, wanted: Ports | None, limits: Limits) -> Running:
    """Start a server in a session of its own and write the state file; it may not answer yet.

    Raises:
        Unavailable: There is no Java to run it with, or it cannot be started.
    """
    ports = _free_ports(wanted or _last_ports(folder))
    for each in (folder.root, folder.store, folder.logs):
        each.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(folder)
    write_text(folder.config, properties(folder, ports, limits))
    write_text(folder.logging, logging_xml(folder))
    command = [
        java_program(),
        f"-Xmx{limits.heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j.configurationFile={folder.logging.as_uri()}",
        f"-Dmodel_server_home={_torchserve().parent}",
        *("-cp", str(_torchserve() / "frontend" / "*"), _MAIN),
        *("--python", sys.executable, "-f", str(folder.config), "-s", str(folder.store), "-w", str(folder.store)),
        *("-ncs", "--disable-token-auth", "--enable-model-api"),
    ]
    with (folder.logs / "console.log").open("ab") as log:
        try:
            started = subprocess.Popen(
                command,
                cwd=folder.root,
                env=environment(folder, scratch, limits),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable("TorchServe cannot be started.", f"{command[0]}: {error.strerror}") from error
    running = Running(started.pid, ports, scratch)
    write_json(folder.state, {"pid": running.pid, "ports": asdict(ports), "scratch": scratch})
    return running


def end(folder: ServeFolder, *, wait_s: float = 15) -> bool:
    """End the server with all its workers, and what an earlier one left. Returns whether there was anything to end.

    The state file stays, without a process, so that the next server listens where this one did.
    """
    try:
        state = read_json(folder.state)
        pid, scratch = int(state["pid"]), Path(state["scratch"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    members = _members(pid, folder)
    if _is_server(pid, folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(members, timeout=wait_s)
    for process in {*alive, *_members(pid, folder)}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([*alive, *_members(pid, folder)], timeout=wait_s)
    shutil.rmtree(scratch, ignore_errors=True)
    write_json(folder.state, {"ports": state["ports"]})
    return bool(members)


def wait_until(done: Callable[[], bool], *, deadline_s: float, pause_s: float = 0.1) -> bool:
    """Ask `done` again and again; returns whether it said yes in time."""
    deadline = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True


def _torchserve() -> Path:
    found = find_spec("ts")
    if found is None or found.origin is None:
        raise Unavailable("TorchServe is not installed.", "Run make setup.")
    return Path(found.origin).parent


def _scratch(folder: ServeFolder) -> str:
    """Where archives are unpacked and workers' sockets lie; a socket's path must be short."""
    scratch = folder.scratch
    if len(str(scratch)) > _LONGEST_SOCKET_FOLDER:
        return tempfile.mkdtemp(prefix="glocal-serve-")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return str(scratch)


def _free_ports(wanted: Ports | None) -> Ports:
    """The wanted ports where they are free, others where not; all are held until all are found."""
    with contextlib.ExitStack() as held:
        chosen = {}
        for field in fields(Ports):
            bound = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                bound.bind((LOOPBACK, getattr(wanted, field.name) if wanted else 0))
            except OSError:
                bound.bind((LOOPBACK, 0))
            chosen[field.name] = bound.getsockname()[1]
    return Ports(**chosen)


def _last_ports(folder: ServeFolder) -> Ports | None:
    try:
        return Ports(**read_json(folder.state)["ports"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_server(pid: int, folder: ServeFolder) -> bool:
    return _runs(pid, _MAIN, str(folder.config))


def _members(pid: int, folder: ServeFolder) -> list[psutil.Process]:
    """The living processes of the server's session: itself and its workers; nobody who was given its number since."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == pid and (_is_server(process.pid, folder) or _runs(process.pid, _WORKER)):
                found.append(process)
    return found


def _runs(pid: int, *words: str) -> bool:
    try:
        process = psutil.Process(pid)
        line = " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and all(word in line for word in words)
    except psutil.Error:
        return False
