"""Queries that wait go together; a query that comes alone does not wait."""

import asyncio

import pytest

from model.errors import Unavailable
from serving.backends.port import Served
from serving.gateway.batches import MAX_BATCH, Batches
from serving.operations.query import make_query

ONE, TWO = Served("mugs", "1"), Served("mugs", "1", workers=2)


class Slow:
    """A backend that answers when it is let; it remembers what went together."""

    def __init__(self, *, fail=False):
        self.let, self.batches, self.fail = asyncio.Event(), [], fail

    async def ask(self, served, queries):
        self.batches.append([query.images[0] for query in queries])
        await self.let.wait()
        if self.fail:
            raise Unavailable("No worker.")
        return [{"image": query.images[0]} for query in queries]

    async def ready(self, served):
        return True


def query(number, size=1):
    return make_query("embed", [bytes([number]) * size])


async def begun(asking):
    """The task of something that is asked, once it waits for its answer."""
    task = asyncio.create_task(asking)
    await asyncio.sleep(0.005)
    return task


def run(served, groups, *, fail=False):
    """Ask one group after the other, before any is answered; returns the batches and the answers."""

    async def asked():
        backend = Slow(fail=fail)
        batches = Batches(backend)
        tasks = [await begun(batches.ask(served, group)) for group in groups]
        backend.let.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        assert not batches._lanes
        return backend.batches, answers

    return asyncio.run(asked())


def test_the_first_goes_alone_at_once_and_those_that_waited_go_together():
    batches, answers = run(ONE, [[query(number)] for number in range(4)])
    assert [len(batch) for batch in batches] == [1, 3]
    assert answers == [[{"image": bytes([number])}] for number in range(4)]


def test_no_more_go_together_than_a_batch_holds_unless_one_request_has_more():
    batches, _ = run(ONE, [[query(0)], *[[query(1)] * 3 for _ in range(3)], [query(2)] * (MAX_BATCH + 4)])
    assert [len(batch) for batch in batches] == [1, 6, 3, MAX_BATCH + 4]


def test_every_worker_is_asked():
    batches, _ = run(TWO, [[query(number)] for number in range(5)])
    assert [len(batch) for batch in batches] == [1, 1, 3]


def test_large_bodies_do_not_go_together(monkeypatch):
    monkeypatch.setattr("serving.gateway.batches.MAX_BODY", 100)
    batches, _ = run(ONE, [[query(0)], [query(1, 60)], [query(2, 60)]])
    assert [len(batch) for batch in batches] == [1, 1, 1]


def test_an_error_reaches_everyone_of_its_batch_and_later_ones_are_asked():
    batches, answers = run(ONE, [[query(number)] for number in range(3)], fail=True)
    assert [len(batch) for batch in batches] == [1, 2]
    assert all(isinstance(answer, Unavailable) for answer in answers)


def test_a_request_whose_client_has_gone_is_not_asked():
    async def asked():
        backend = Slow()
        batches = Batches(backend)
        first, gone, last = [await begun(batches.ask(ONE, [query(number)])) for number in range(3)]
        gone.cancel()
        await asyncio.sleep(0)
        backend.let.set()
        await asyncio.gather(first, last)
        with pytest.raises(asyncio.CancelledError):
            await gone
        return backend.batches

    assert asyncio.run(asked()) == [[b"\0"], [b"\2"]]


def test_a_request_that_is_given_up_at_a_worker_ends_once_the_worker_has_let_go_of_it():
    async def asked():
        backend = Slow()
        batches = Batches(backend)
        given_up, other = [await begun(batches.ask(ONE, [query(number)])) for number in range(2)]
        given_up.cancel()
        await asyncio.sleep(0.005)
        assert not given_up.done()
        backend.let.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(given_up, 5)
        return await other

    assert asyncio.run(asked()) == [{"image": b"\1"}]


def test_a_request_that_is_given_up_in_the_turn_in_which_a_worker_gets_free_ends():
    async def asked():
        backend = Slow()
        batches = Batches(backend)
        _, gone = [await begun(batches.ask(ONE, [query(number)])) for number in range(2)]
        backend.let.set()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(gone, 5)
        return backend.batches

    assert asyncio.run(asked()) == [[b"\0"]]


def test_a_request_that_comes_as_the_last_one_ends_is_not_overlooked():
    """A backend that answers at once: the next request is made in the same turn of the loop as the answer to the last."""

    async def asked():
        backend = Slow()
        backend.let.set()
        batches = Batches(backend)
        return [await batches.ask(ONE, [query(number % 5)]) for number in range(50)]

    async def within(seconds):
        return await asyncio.wait_for(asyncio.create_task(asked()), seconds)

    assert len(asyncio.run(within(5))) == 50


def test_the_time_that_requests_waited_for_a_worker_is_measured():
    async def asked():
        backend = Slow()
        batches = Batches(backend)
        tasks = [await begun(batches.ask(ONE, [query(number)])) for number in range(2)]
        await asyncio.sleep(0.05)
        backend.let.set()
        await asyncio.gather(*tasks)
        (metric,) = batches.waited.collect()
        return {each.name: each.value for each in metric.samples if not each.labels}

    measured = asyncio.run(asked())
    assert measured["glocal_queue_seconds_count"] == 2
    assert 0.05 <= measured["glocal_queue_seconds_sum"] < 1  # the first did not wait
