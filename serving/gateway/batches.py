"""Queries that wait for a worker go to it together, as soon as one is free: a query that comes alone never waits for company."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from prometheus_client import Histogram

from model.errors import GlocalError
from serving.backends.port import Asking, Served
from serving.gateway.metrics import SECONDS
from serving.limits import MAX_BODY
from serving.operations.query import Query, size_of

MAX_BATCH = 8
"""Maximum queries that go together, unless one request alone has more."""
Answers = list[dict[str, Any] | GlocalError]


@dataclass(eq=False)
class _Request:
    """The queries of one request, its answers to come, and whether the block that it was sent with has ended."""

    queries: Sequence[Query]
    answers: "asyncio.Future[Answers]"
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=monotonic)

    @property
    def size(self) -> int:
        """Bytes of the images."""
        return size_of(self.queries)


@dataclass
class _Lane:
    """One version of a model: what waits for it, and who asks its workers."""

    waiting: deque[_Request] = field(default_factory=deque)
    asking: set["asyncio.Task[None]"] = field(default_factory=set)


class Batches:
    """An `Asking` before another. As many blocks of queries are under way as a version has workers.

    Args:
        backend: Who answers.
    """

    def __init__(self, backend: Asking) -> None:
        self._backend = backend
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self.waited = Histogram("glocal_queue_seconds", "Time that requests waited for a worker", buckets=SECONDS, registry=None)

    async def ask(self, served: Served, queries: Sequence[Query]) -> Answers:
        """See `Asking.ask`. Cancelled, it ends once the queries are held by no block that is under way."""
        key = (served.name, served.version)
        lane = self._lanes.setdefault(key, _Lane())
        request = _Request(queries, asyncio.get_running_loop().create_future())
        lane.waiting.append(request)
        if len(lane.asking) < served.workers:
            lane.asking.add(asyncio.create_task(self._serve(key, lane, served)))
        try:
            return await request.answers
        except asyncio.CancelledError:
            if request in lane.waiting:
                lane.waiting.remove(request)
            else:
                await request.let_go.wait()
            raise

    async def ready(self, served: Served) -> bool:
        """See `Asking.ready`."""
        return await self._backend.ready(served)

    async def _serve(self, key: tuple[str, str], lane: _Lane, served: Served) -> None:
        """Ask until nothing waits. Between the last look and the end nothing else runs, so that no request is overlooked."""
        try:
            while batch := _take(lane.waiting):
                for request in batch:
                    self.waited.observe(monotonic() - request.began)
                await self._answer(batch, served)
        finally:
            lane.asking -= {asyncio.current_task()}
            if not lane.asking and not lane.waiting:
                self._lanes.pop(key, None)

    async def _answer(self, batch: list[_Request], served: Served) -> None:
        """Ask the backend and give each request its answers, or the error."""
        try:
            answers = iter(await self._backend.ask(served, [query for request in batch for query in request.queries]))
            for request in batch:
                own = [next(answers) for _ in request.queries]
                if not request.answers.done():
                    request.answers.set_result(own)
        except Exception as error:  # each request is told
            for request in batch:
                if not request.answers.done():
                    request.answers.set_exception(error)
        finally:
            for request in batch:
                request.let_go.set()


def _take(waiting: deque[_Request]) -> list[_Request]:
    """The next requests that go together, without those whose clients have gone."""
    batch: list[_Request] = []
    queries = size = 0
    while waiting:
        request = waiting[0]
        if request.answers.done():
            waiting.popleft().let_go.set()
            continue
        queries, size = queries + len(request.queries), size + request.size
        if batch and (queries > MAX_BATCH or size > MAX_BODY):
            break
        batch.append(waiting.popleft())
    return batch
