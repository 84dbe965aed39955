"""The worker: the detached process that executes the queue, found by its state file, started and ended."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

from model.claim import claim
from model.disk import full_place, no_room
from model.environment import Environment
from model.errors import Unavailable
from model.files import read_json
from model.home import Home
from model.locks import hold
from serving.processes import command_line, end_processes, own_environment, start_detached, wait_until

_MODULE = "pipelines.queue"
_START_S, _END_S = 30.0, 90.0


@dataclass(frozen=True)
class Worker:
    """A worker that is alive.

    Attributes:
        id: Its name, which no other worker has.
        pid: Its process.
        started: When it was started.
    """

    id: str
    pid: int
    started: datetime


def find_worker(home: Home) -> Worker | None:
    """The living worker of this home."""
    try:
        state = read_json(home.queue.worker)
        found = Worker(str(state["id"]), int(state["pid"]), datetime.fromtimestamp(float(state["started"]), UTC))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    line = command_line(found.pid)
    return found if _MODULE in line and str(home.root) in line else None


def ensure_worker(environment: Environment) -> Worker:
    """The worker of this home, which is started if there is none.

    Its runs have the environment that it is started with, as those of `glocal run` have that of the terminal.

    Raises:
        Unavailable: It does not come up; the hint names its log.
    """
    home = claim(environment.home)
    with hold(home.queue.start_lock):
        if found := find_worker(home):
            return found
        command = [sys.executable, "-m", _MODULE, str(home.root)]
        started = start_detached(command, folder=home.root, environment=own_environment(home), log=home.queue.log, umask=-1)

        def is_up() -> bool:
            running = find_worker(home)
            return started.poll() is not None or (running is not None and running.pid == started.pid)

        wait_until(is_up, deadline_s=_START_S, pause_s=0.05)
        running = find_worker(home)
    if running is None:
        if place := full_place(home.root):
            raise no_room(place)
        raise Unavailable("The worker of the queue did not start.", f"See {home.queue.log}.")
    return running


def end_worker(home: Home) -> bool:
    """End the worker, and what it runs as Ctrl-C does; what is queued stays queued. Returns whether there was one."""
    with hold(home.queue.start_lock):
        found = find_worker(home)
        if found is None:
            return False
        end_processes([psutil.Process(found.pid)], wait_s=_END_S)
    return True
