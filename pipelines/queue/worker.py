"""The worker: the detached process that executes the queue, found by its lock, started and ended."""

from dataclasses import dataclass
from datetime import datetime

from model.environment import Environment
from model.home import Home


@dataclass(frozen=True)
class Worker:
    """A worker that is alive.

    Attributes:
        pid: Its process.
        started: When it was started.
    """

    pid: int
    started: datetime


def find_worker(home: Home) -> Worker | None:
    """The living worker of this home."""
    raise NotImplementedError


def ensure_worker(environment: Environment) -> Worker:
    """The worker of this home, which is started if there is none.

    Raises:
        Unavailable: It does not come up; the hint names its log.
    """
    raise NotImplementedError


def end_worker(home: Home) -> bool:
    """End the worker, and what it runs as Ctrl-C does; what is queued stays queued. Returns whether there was one."""
    raise NotImplementedError
