"""The work of the worker: every order is given to a process of its own, and what becomes of it is noted."""

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import psutil

from model.environment import Environment
from model.errors import GlocalError
from model.files import write_json
from model.locks import hold
from model.schemas.run_record import Failure
from model.signals import signal_of
from pipelines.killed_runs import close_runs_of
from pipelines.queue import tasks
from pipelines.queue.stored import Begun, StoredOrder, queued_orders, stored_orders
from pipelines.queue.timer import Timer
from pipelines.queue.worker import find_worker
from pipelines.running import new_name
from serving.processes import command_line, own_environment, start_detached

_MODULE = "pipelines.queue.order_process"
_LOOK_S, _AGAIN_S, _HEALTH_S = 0.1, 5.0, 3.0
_GRACE_S = 60.0
"""Seconds for a run that is ended to record that."""
_log = logging.getLogger(__name__)


class Executor:
    """Executes the queue of a home. There is one at a time: see `worker_lock`.

    Args:
        environment: The home, the registry, and how many runs are executed at once.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment, self._home, self._queue = environment, environment.home, environment.home.queue
        self._id = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._said: set[str] = set()

    def run(self) -> None:
        """Execute what is queued, and what comes, until a signal ends this process. What then runs is ended as by Ctrl-C."""
        self._say_who()
        with hold(self._queue.lock):
            self._end_what_was_under_way()
            consumer = tasks.Consumer(self._queue, self._execute, at_once=self._environment.runs_at_once)
            consumer.check_tasks(self._queued())
        consumer.start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stopping.set())
        with Timer(self._environment):
            while not self._stopping.wait(_HEALTH_S):
                self._check(consumer)
                self._close_killed_runs()
        consumer.stop()

    def _say_who(self) -> None:
        """Write the file by which this worker is found."""
        pid = os.getpid()
        write_json(self._queue.worker, {"id": self._id, "pid": pid, "started": psutil.Process(pid).create_time()})

    def _queued(self) -> list[str]:
        """The ids of what is queued, the next first."""
        return [order.id for order, _ in queued_orders(self._queue)]

    def _check(self, consumer: tasks.Consumer) -> None:
        """Let this worker be found, and what is queued be executed, whatever became of its files and threads."""
        consumer.check_threads()
        try:
            if (found := find_worker(self._home)) is None or found.id != self._id:
                self._say_who()
            with hold(self._queue.lock):
                consumer.check_tasks(self._queued())
        except (OSError, sqlite3.Error) as error:
            _log.warning("The files of the queue cannot be made: %s", error)

    def _end_what_was_under_way(self) -> None:
        """Note the end of what an earlier worker had begun, whose runs end with it; it is not begun again."""
        for stored in stored_orders(self._queue):
            with contextlib.suppress(GlocalError):
                if stored.is_open and (begun := stored.begun):
                    if begun.pid and str(stored.root) in command_line(begun.pid):
                        _kill(begun.pid)
                    stored.end_as_its_run()

    def _execute(self, order_id: str) -> None:
        """Execute an order, unless it was cancelled; returns when it has ended and that is noted."""
        stored = StoredOrder(self._queue.orders / order_id)
        try:
            with hold(self._queue.lock):
                if not stored.is_queued or self._stopping.is_set():
                    return
                process = self._begin(stored)
        except (OSError, ValueError, GlocalError) as error:
            headline = f"Its process cannot be started: {error}"
            self._note(lambda: stored.end("refused", Failure(step="", headline=headline, hint=f"See {self._queue.log}.")))
            return
        code = self._await(process, stored)
        unforeseen = Failure(step="", headline=f"Its process ended with exit code {code}.", hint=f"See {stored.console}.")
        self._note(lambda: stored.end_as_its_run(unforeseen if code and not signal_of(code) else None))

    def _note(self, end: Callable[[], None]) -> None:
        """Note the end of an order, if need be as soon as the disk has room again: otherwise it would seem to run."""
        while True:
            try:
                with hold(self._queue.lock):
                    return end()
            except (OSError, GlocalError) as error:
                _log.warning("The end of an order cannot be noted: %s", error)
                if self._stopping.wait(_AGAIN_S):
                    return None

    def _begin(self, stored: StoredOrder) -> "subprocess.Popen[bytes]":
        """Note that the order is begun, which happens once whatever is killed when, and start its process."""
        order = stored.order
        begun = Begun(at=datetime.now(UTC), worker=self._id, folder=str(self._home.runs / new_name()))
        stored.begin(begun)
        environment = own_environment(self._home, GLOCAL_USER=order.user)
        command = [sys.executable, "-m", _MODULE, str(stored.root), begun.folder]
        process = start_detached(command, folder=self._home.root, environment=environment, log=stored.console, umask=-1)
        stored.begin(begun.model_copy(update={"pid": process.pid}))
        return process

    def _await(self, process: "subprocess.Popen[bytes]", stored: StoredOrder) -> int:
        """Wait for the end of a run; returns its exit code. One that is asked to end and does not do so in time is killed."""
        asked: float | None = None
        while process.poll() is None:
            if asked is None and (stored.is_cancelled or self._stopping.is_set()):
                process.send_signal(signal.SIGTERM)
                asked = time.monotonic()
            elif asked is not None and time.monotonic() - asked > _GRACE_S:
                _kill(process.pid)
            time.sleep(_LOOK_S)
        return process.returncode

    def _close_killed_runs(self) -> None:
        """Record runs that were killed, queued or not, as killed in MLflow, which is opened only if there are any."""

        def say(text: str) -> None:
            if text not in self._said:
                _log.warning("%s", text)
            self._said.add(text)

        try:
            close_runs_of(self._home, self._environment.mlflow_uri, say)
        except Exception as error:  # of MLflow, which may be busy or away for now: the queue goes on
            say(f"Killed runs cannot be recorded: {type(error).__name__}: {error}")


def _kill(leader: int) -> None:
    """Kill a run's process and its group; the pipeline's group ends with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
