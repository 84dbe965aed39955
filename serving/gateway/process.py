"""The gateway's process, which is started detached on loopback, found by its state file, and ended."""

import contextlib
import sys
from dataclasses import dataclass

import httpx
import psutil

from model.environment import Environment
from model.errors import Unavailable
from model.files import read_json, write_json
from model.home import ServeFolder
from serving.local import ensure_key
from serving.processes import clean_environment, command_line, end_processes, start_detached, wait_until
from serving.protocol import LOOPBACK, local_address

DEFAULT_PORT = 8080
_MODULE = "serving.gateway"
_START_S, _END_S = 60.0, 40.0


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that is alive."""

    pid: int
    address: str


def find(folder: ServeFolder) -> RunningGateway | None:
    """The living gateway of this home."""
    try:
        state = read_json(folder.gateway)
        pid, port, host = int(state["pid"]), int(state["port"]), str(state.get("host", LOOPBACK))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return next((RunningGateway(each.pid, "") for each in _processes(folder)), None)
    return RunningGateway(pid, local_address(port, host)) if _is_gateway(pid, folder) else None


def answers(running: RunningGateway) -> bool:
    """Whether the gateway answers."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{running.address}/healthz", timeout=5, trust_env=False).is_success
    return False


def ensure(folder: ServeFolder, backend: str) -> RunningGateway:
    """The gateway of this home, which is started if none answers, with a key of the home's owner.

    The caller holds the lock of starts.

    Args:
        folder: Folder of the endpoint's files.
        backend: Name of the adapter that it asks. A gateway that asks another one is replaced.

    Raises:
        Unavailable: It does not come up; the hint names its log.
    """
    ensure_key(folder)
    running = find(folder)
    if running is not None and running.address and command_line(running.pid)[-1:] == [backend] and answers(running):
        return running
    port = _port(folder)
    end(folder)
    log = folder.gateway_logs / "console.log"
    settings = Environment()
    named = [str(folder.root.parent), str(port), settings.gateway_host, str(settings.sample_share), backend]
    command = [sys.executable, "-m", _MODULE, *named]
    started = start_detached(command, folder=folder.root, environment=clean_environment(), log=log)

    def is_up() -> bool:
        running = find(folder)
        return started.poll() is not None or (running is not None and running.pid == started.pid and answers(running))

    if not wait_until(is_up, deadline_s=_START_S, pause_s=0.05) or started.poll() is not None:
        end(folder)
        raise Unavailable("The gateway did not start.", f"See {log}.")
    running = find(folder)
    if running is None:
        raise Unavailable("The gateway ended.", f"See {log}.")
    return running


def end(folder: ServeFolder) -> bool:
    """End every gateway of this home, after the requests that are under way; returns whether there was one."""
    processes = _processes(folder)
    end_processes(processes, wait_s=_END_S)
    if processes:
        write_json(folder.gateway, {"port": _last_port(folder)})
    return bool(processes)


def _port(folder: ServeFolder) -> int:
    """The port that the settings name, else that of the last start."""
    return Environment().gateway_port or _last_port(folder)


def _last_port(folder: ServeFolder) -> int:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return int(read_json(folder.gateway)["port"])
    return DEFAULT_PORT


def _processes(folder: ServeFolder) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if _is_gateway(each.pid, folder)]


def _is_gateway(pid: int, folder: ServeFolder) -> bool:
    line = command_line(pid)
    return _MODULE in line and str(folder.root.parent) in line
