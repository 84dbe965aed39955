"""TorchServe's process, which is started detached on loopback and ended with all its workers."""

import contextlib
import shutil
import sys
import tempfile
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path

from model.errors import Unavailable
from model.files import set_aside, write_json, write_text
from model.home import ServeFolder
from serving.backends.torchserve.configuration import (
    DIRECT_MB,
    HEAP_MB,
    Ports,
    environment,
    java_program,
    logging_xml,
    logs,
    properties,
    read_ports,
)
from serving.backends.torchserve.discovery import MAIN, Running, last_ports, members, recorded, scratch_of, server_pids
from serving.processes import bind_port, kill_processes, start_detached

_SCRATCH_PREFIX = "glocal-serve-"
_HOME_NOTE = ".home"
_LONGEST_SOCKET_FOLDER = 80
_END_S = 15.0


def launch(folder: ServeFolder) -> Running:
    """Start a server in a new session and write the state file. The server may not answer yet.

    Raises:
        Unavailable: There is no Java program, or the server cannot be started.
    """
    ports = _free_ports(last_ports(folder))
    for needed in (folder.root, folder.store, logs(folder)):
        needed.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(folder)
    folder.tokens.unlink(missing_ok=True)
    write_text(folder.config, properties(folder, ports, scratch))
    write_text(folder.logging, logging_xml(folder))
    command = _command(folder, scratch)
    try:
        started = start_detached(
            command, folder=folder.root, environment=environment(folder, scratch), log=logs(folder) / "console.log"
        )
    except OSError as error:
        raise Unavailable("TorchServe cannot be started.", f"{command[0]}: {error.strerror}") from error
    running = Running(started.pid, ports, scratch)
    remember(folder, running)
    return running


def remember(folder: ServeFolder, running: Running) -> None:
    """Put a server on record."""
    if recorded(folder) != running:
        _write_state(folder, {"pid": running.pid, "ports": asdict(running.ports), "scratch": running.scratch})


def end(folder: ServeFolder) -> bool:
    """Kill every server of this home with its workers, and remove their temporary folders; returns whether there was one.

    Asked to end, TorchServe takes five seconds, and there is nothing that it keeps: the gateway before it has let all queries be
    answered. The state file stays, without a process, so that the next server listens on the same ports.
    """
    known, servers = recorded(folder), set(server_pids(folder))
    pids = servers | ({known.pid} if known else set())
    scratches = {scratch_of(pid) for pid in servers} | ({known.scratch} if known else set())
    ports = last_ports(folder) or read_ports(folder)
    ended = False
    while processes := members(pids, folder):  # again: a worker may have been started meanwhile
        kill_processes(processes, wait_s=_END_S)
        ended = True
    for scratch in scratches:
        if scratch and _is_scratch(Path(scratch), folder):
            shutil.rmtree(scratch, ignore_errors=True)
    if ports is not None:
        _write_state(folder, {"ports": asdict(ports)})
    return ended


def _write_state(folder: ServeFolder, state: dict[str, object]) -> None:
    """Write the state file. A folder in its place is set aside."""
    if folder.state.is_dir() and not folder.state.is_symlink():
        set_aside(folder.state)
    write_json(folder.state, state)


def _command(folder: ServeFolder, scratch: str) -> list[str]:
    return [
        java_program(),
        f"-Xmx{HEAP_MB}m",
        f"-XX:MaxDirectMemorySize={DIRECT_MB}m",
        *("-XX:+UseSerialGC", "-Xmn16m"),
        "-Dio.netty.allocator.type=unpooled",  # a pool keeps the memory of large bodies, and is full before its limit
        "-XX:-UsePerfData",
        *("-XX:TieredStopAtLevel=1", "-XX:CompileThresholdScaling=0.05"),  # compiled after some dozens of queries
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j.configurationFile={folder.logging.as_uri()}",
        f"-Dmodel_server_home={_torchserve().parent}",
        *("-cp", f"{_torchserve() / 'frontend' / '*'}", MAIN),
        *("--python", sys.executable, "-f", str(folder.config), "-s", str(folder.store), "-w", str(folder.store)),
        *("-ncs", "--enable-model-api"),
    ]


def _torchserve() -> Path:
    package = find_spec("ts")
    if package is None or package.origin is None:
        raise Unavailable("TorchServe is not installed.", "Run make setup.")
    return Path(package.origin).parent


def _scratch(folder: ServeFolder) -> str:
    """Folder for unpacked archives and sockets. The path of a socket must be short."""
    scratch = folder.scratch
    if len(str(scratch)) > _LONGEST_SOCKET_FOLDER:
        return _short_scratch(folder)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return str(scratch)


def _short_scratch(folder: ServeFolder) -> str:
    """A new folder in the system's temporary folder. Folders of earlier servers of this home are removed."""
    home = str(folder.config)
    for note in Path(tempfile.gettempdir()).glob(f"{_SCRATCH_PREFIX}*/{_HOME_NOTE}"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if note.read_text(encoding="utf-8") == home and _is_scratch(note.parent, folder):
                shutil.rmtree(note.parent, ignore_errors=True)
    scratch = tempfile.mkdtemp(prefix=_SCRATCH_PREFIX)
    write_text(Path(scratch) / _HOME_NOTE, home)
    return scratch


def _is_scratch(scratch: Path, folder: ServeFolder) -> bool:
    """Whether a folder was made by `_scratch`. Any other folder in a state file is not removed."""
    return scratch == folder.scratch or (
        scratch.name.startswith(_SCRATCH_PREFIX) and scratch.parent == Path(tempfile.gettempdir()) and not scratch.is_symlink()
    )


def _free_ports(wanted: Ports | None) -> Ports:
    """The wanted ports, where a taken port is replaced by a free one. All ports are held until the last is chosen."""
    with contextlib.ExitStack() as held:
        chosen = {}
        for field in fields(Ports):
            bound = held.enter_context(bind_port(getattr(wanted, field.name) if wanted else 0))
            chosen[field.name] = bound.getsockname()[1]
    return Ports(**chosen)
