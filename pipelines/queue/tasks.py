"""Huey's queue of what is to be executed, on SQLite: one task for each queued order, with its id as the only argument.

The folders of the orders are the record; this database says which of them a worker takes next, and is made anew from them at
every start of the worker. Its tasks are JSON: what somebody writes into the file is never unpickled.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from huey import SqliteHuey
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer

from model.home import QueueFolder

_POLL_S = 0.25


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
    """Put an order at the end of the queue."""
    tasks, add = open_tasks(queue, _by_the_worker)
    try:
        add(order_id)
    finally:
        tasks.storage.close()


def consumer(queue: QueueFolder, queued: Iterable[str], execute: Callable[[str], None], *, at_once: int) -> Consumer:
    """Huey's consumer of a new queue with the queued orders. The caller holds the lock of the queue."""
    for suffix in ("", "-wal", "-shm"):
        queue.tasks.with_name(queue.tasks.name + suffix).unlink(missing_ok=True)
    tasks, add = open_tasks(queue, execute)
    for order_id in queued:
        add(order_id)
    options: dict[str, Any] = {"periodic": False, "initial_delay": _POLL_S, "max_delay": _POLL_S, "backoff": 1}
    return tasks.create_consumer(workers=at_once, worker_type="thread", **options)


def _by_the_worker(order_id: str) -> None:
    raise NotImplementedError(f"The worker executes {order_id}, and nobody else does.")
