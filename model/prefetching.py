"""Calls made in threads ahead of their use: reading, decoding, hashing and resizing release Python's global lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(calls: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """The results of the calls, in their order. An error of a call is raised in the place of its result.

    Args:
        calls: Calls to make, one after the other.
        threads: Threads that work at once, and one less than the results that may wait; 0 calls in the current thread.
    """
    if not threads:
        yield from (call() for call in calls)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
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
