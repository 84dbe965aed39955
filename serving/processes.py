"""What the processes of the endpoint have in common: how they are started, found, bounded, waited for and ended."""

import contextlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

from model.environment import Environment
from model.files import write_text
from model.home import Home, ServeFolder
from serving.protocol import LOOPBACK

THREADS = 1
"""Threads of one worker's arithmetic. Two threads on busy cores wait for each other: on two such cores a query of 30 ms then took
up to 1.6 s, and with one thread never more than 50 ms."""
_KEPT = ("PATH", "HOME", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SSL_CERT_FILE")
_UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
_MEMORY = "GLOCAL_WORKER_MEMORY_MB"


def clean_environment() -> dict[str, str]:
    """The environment of a server: no secrets, the locale UTF-8, whatever the user's is, and this code on the path."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **_UTF_8, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}


def own_environment(home: Home, **more: str) -> dict[str, str]:
    """This process's environment for another one of this code on a home, which works in another folder.

    Args:
        home: GLOCAL_HOME.
        more: Further variables.
    """
    beside = [str(Path(each).absolute()) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    paths = os.pathsep.join(dict.fromkeys([str(Path(__file__).parents[1]), *beside]))
    return {**os.environ, "GLOCAL_HOME": str(home.root), "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **more}


def worker_environment(folder: ServeFolder) -> dict[str, str]:
    """`clean_environment` of a server whose workers run the engine: their threads, and the memory that each may take.

    If there is a Milvus server, where a worker's gallery may lie, its address is kept; its token lies in a file of the endpoint.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS))
    return {**clean_environment(), **threads, **_milvus(folder), _MEMORY: str(Environment().worker_memory_mb)}


def _milvus(folder: ServeFolder) -> dict[str, str]:
    """The variables by which workers find the Milvus server, with the token in the file as it is now."""
    environment = Environment()
    if not environment.milvus_uri:
        return {}
    if not (token := environment.milvus_credential):
        folder.milvus_token.unlink(missing_ok=True)
        return {"GLOCAL_MILVUS_URI": environment.milvus_uri}
    write_text(folder.milvus_token, token, mode=0o600)
    return {"GLOCAL_MILVUS_URI": environment.milvus_uri, "GLOCAL_MILVUS_TOKEN_FILE": str(folder.milvus_token)}


def limit_memory() -> None:
    """Bound the memory that this worker may allocate, as its environment says. What is beyond fails the query that wants it.

    Files that are mapped for reading do not count, so that workers share a gallery. Linux holds to the limit, macOS does not.
    """
    if megabytes := int(os.environ.get(_MEMORY, "0")):
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def start_detached(
    command: list[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    umask: int = 0o077,
    inherits: tuple[int, ...] = (),
) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, so that it outlives this one.

    Args:
        command: The program and its arguments; no secret, as every user of the machine can read them.
        folder: Its working folder.
        environment: Its environment.
        log: File that what it prints is appended to.
        umask: Permissions that its files do not get: by default they are for this user alone. -1: as those of this process.
        inherits: Descriptors of open files that it gets, such as that of a lock.

    Raises:
        OSError: The program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as printed:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,
            umask=umask,
            pass_fds=inherits,
        )


def bind_port(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """A socket that is bound to a port of this machine, or to a free one if the port is taken.

    Args:
        host: An IPv4 address of this machine.
        port: The port, which a later server may take at once, whichever connections of this one linger. 0: a free one that
            nobody else can bind while the socket is open.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # so it is for accepted connections: none waits to be filled
    if port:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.bind((host, 0))
    return bound


def command_line(pid: int) -> list[str]:
    """The command line of a living process; empty if there is none, or another user's hides it."""
    try:
        process = psutil.Process(pid)
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return []


def session_of(pid: int) -> int | None:
    """Id of a process's session, which is the id of the process that began it; None if there is no such process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def resident_mb(pids: Iterable[int]) -> float:
    """Resident megabytes of some processes and all that they started."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            server = psutil.Process(pid)
            total += sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])
    return round(total / 2**20, 1)


def end_processes(processes: Iterable[psutil.Process], *, wait_s: float) -> None:
    """Ask processes to end, and kill those that have not done so in time."""
    asked = list(processes)
    for process in asked:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    kill_processes(_await_end(asked, wait_s), wait_s=wait_s)


def kill_processes(processes: Iterable[psutil.Process], *, wait_s: float) -> None:
    """Kill processes, and wait until they have ended."""
    killed = list(processes)
    for process in killed:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _await_end(killed, wait_s)


def _await_end(processes: Iterable[psutil.Process], wait_s: float) -> list[psutil.Process]:
    """Wait until processes have ended; returns those that have not done so in time.

    A zombie has ended: it waits for the process that started it to take note, which may be one that never does.
    """
    alive = list(processes)

    def ended() -> bool:
        alive[:] = [process for process in alive if _lives(process)]
        return not alive

    wait_until(ended, deadline_s=wait_s, pause_s=0.02)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(done: Callable[[], bool], *, deadline_s: float, pause_s: float = 0.1) -> bool:
    """Call `done` until it returns true; returns whether it did so before the deadline."""
    deadline = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True
