"""Batches made by threads ahead of the training. Reading, cropping and resizing leave Python's lock to the training meanwhile."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(calls: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """What the calls return, in their order.

    Args:
        calls: Taken up one after the other.
        threads: How many work at once; their results wait for whoever takes them, at most one more than that. 0: no thread.
    """
    if not threads:
        yield from (call() for call in calls)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
    waiting: deque[Future[T]] = deque()
    try:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
