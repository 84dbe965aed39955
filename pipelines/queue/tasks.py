"""Huey's queue of what is to be executed, on SQLite: one task for each queued order, with its id as the only argument.

The folders of the orders are the record; this database says which of them a worker takes next. The worker makes it anew from
them when it starts, and whenever it does not hold all of them: its file may be damaged or gone, and whoever orders may be killed
before the task is in it. Its tasks are JSON: what somebody writes into the file is never unpickled.
"""

import json
import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer

from model.home import QueueFolder

_POLL_S = 0.25
_log = logging.getLogger(__name__)


class JsonSerializer(Serializer):  # type: ignore[misc]  # huey has no types
    """Huey's messages as JSON."""

    def _serialize(self, data: Message) -> bytes:
        return json.dumps(data._asdict(), allow_nan=False).encode()

    def _deserialize(self, data: bytes) -> Message:
        return Message(**json.loads(data))


def open_tasks(queue: QueueFolder, execute: Callable[[str], None]) -> tuple[SqliteHuey, Callable[[str], None]]:
    """The queue of a home, and the function that puts the id of an order at its end.

    Args:
        queue: Folder of the queue.
        execute: Called with the id of an order by the worker.
    """
    queue.root.mkdir(parents=True, exist_ok=True)
    tasks = SqliteHuey(
        "orders", filename=str(queue.tasks), results=False, serializer=JsonSerializer(), strict_fifo=True, fsync=True
    )

    @tasks.task()
    def execute_order(order_id: str) -> None:
        execute(order_id)

    return tasks, execute_order


def put(queue: QueueFolder, order_id: str) -> None:
    """Put an order at the end of the queue. Where the database cannot be written, the worker does so once it can."""
    try:
        tasks, add = open_tasks(queue, _by_the_worker)
        try:
            add(order_id)
        finally:
            tasks.storage.close()
    except (sqlite3.Error, OSError) as error:
        _log.warning("%s cannot be written: %s", queue.tasks, error)


class Consumer:
    """Huey's consumer of the queue of a home. Its database is new, and is mended while it runs.

    Args:
        queue: Folder of the queue.
        execute: Called with the id of an order.
        at_once: Orders that are executed at once.
    """

    def __init__(self, queue: QueueFolder, execute: Callable[[str], None], *, at_once: int) -> None:
        self._queue = queue
        self._remove()
        self._tasks, self._add = open_tasks(queue, execute)
        self._inode = queue.tasks.stat().st_ino
        options: dict[str, Any] = {"periodic": False, "initial_delay": _POLL_S, "max_delay": _POLL_S, "backoff": 1}
        self._consumer = self._tasks.create_consumer(workers=at_once, worker_type="thread", **options)
        self.start, self.check_threads = self._consumer.start, self._consumer.check_worker_health

    def check_tasks(self, queued: list[str]) -> None:
        """Make the database anew unless it holds all that is queued.

        The caller holds the lock of the queue. A task too many does no harm: an order is begun once.
        """
        if not self._holds(queued):
            self._tasks.storage.close()
            self._remove()
            self._tasks.storage = self._tasks.create_storage()  # of which the threads ask for their next task
            self._inode = self._queue.tasks.stat().st_ino
            for order_id in queued:
                self._add(order_id)

    def stop(self) -> None:
        """Return when what is under way has ended."""
        self._consumer.stop(graceful=True)

    def _holds(self, queued: list[str]) -> bool:
        """Whether the threads find all that is queued, in the file that whoever orders writes to."""
        try:
            others, _ = open_tasks(self._queue, _by_the_worker)
            written = _ids(others)
            others.storage.close()
            return self._queue.tasks.stat().st_ino == self._inode and set(queued) <= written & _ids(self._tasks)
        except Exception:  # of SQLite, or of what somebody wrote into the file
            return False

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._queue.tasks.with_name(self._queue.tasks.name + suffix).unlink(missing_ok=True)


def _ids(tasks: SqliteHuey) -> set[str]:
    return {task.args[0] for task in tasks.pending()}


def _by_the_worker(order_id: str) -> None:
    raise NotImplementedError(f"The worker executes {order_id}, and nobody else does.")
