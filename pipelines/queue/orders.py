"""The orders of a home: submitted, listed, cancelled."""

import re
from datetime import UTC, datetime
from functools import partial

from model.claim import claim
from model.config import parse_config
from model.disk import disk_errors
from model.environment import Environment
from model.errors import Conflict, GlocalError, NotFound, Unavailable
from model.home import Home
from model.locks import hold
from model.schemas.order import ORDER_ID, Order, OrderState, QueueState
from model.schemas.run_record import Failure
from model.schemas.unreadable import Unreadable, read_or_note
from pipelines.queue import tasks
from pipelines.queue.stored import StoredOrder, queued_orders, stored_orders
from pipelines.queue.worker import find_worker
from pipelines.running import check_training
from serving.processes import wait_until

OPEN = ("running", "queued")
"""States of an order that has not ended."""
_SAME = ("name", "settings", "runner", "why", "user", "again_of", "schedule")


def submit(environment: Environment, order: Order) -> Order:
    """Check an order and put it at the end of the queue; returns it as it is kept. `ensure_worker` lets it be executed.

    The same id twice is one order, whoever submits it at the same time. Its source is kept as an address that does not depend on
    the current folder.

    Raises:
        InvalidInput: There is no such source, setting, method, attention block or trunk. Nothing was kept.
        Conflict: The id is that of another order.
        StorageFailed: The disk takes no more. Nothing was kept.
    """
    queue = claim(environment.home).queue
    stored = StoredOrder(queue.orders / order.id)
    if stored.exists:
        return _the_same(stored.order, order)
    source = check_training(order.source, order.name, parse_config(order.settings), environment.run_by(order.runner).runner)
    with disk_errors(queue.root), hold(queue.lock):
        if stored.exists:
            return _the_same(stored.order, order)
        kept = order.model_copy(update={"source": source, "time": datetime.now(UTC)})
        stored.create(kept)
        tasks.put(queue, kept.id)
    return kept


def refuse(environment: Environment, order: Order, error: GlocalError) -> None:
    """Keep an order that nobody waits for and that cannot be executed, with the reason."""
    queue = claim(environment.home).queue
    stored = StoredOrder(queue.orders / order.id)
    with hold(queue.lock):
        if not stored.exists:
            stored.create(order)
            stored.end("refused", Failure(step="", headline=error.headline, hint=error.hint))


def orders(environment: Environment, limit: int = 50) -> list[OrderState]:
    """The orders: what runs, what is queued in its order, and the latest `limit` that ended, newest first."""
    return list(read_queue(environment, limit).orders)


def read_queue(environment: Environment, limit: int = 50) -> QueueState:
    """As `orders`, with those among them that cannot be read, and whether a worker executes them."""
    stored, worker = list(stored_orders(environment.home.queue)), _worker(environment.home)
    ended = sorted((each for each in stored if not each.is_open), key=StoredOrder.ended_ns, reverse=True)
    shown = [*(each for each in stored if each.is_open), *ended[:limit]]
    unreadable: list[Unreadable] = []
    states = [state for each in shown if (state := read_or_note(partial(each.state, worker), each.root, unreadable))]
    queued = sorted((each for each in states if each.state == "queued"), key=lambda each: (each.order.time, each.order.id))
    found = [
        *sorted((each for each in states if each.state == "running"), key=_moment),
        *(each.model_copy(update={"place": place}) for place, each in enumerate(queued, 1)),
        *sorted((each for each in states if each.state not in OPEN), key=_moment, reverse=True),
    ]
    unreadable.sort(key=lambda each: each.path)
    return QueueState(orders=tuple(found), unreadable=tuple(unreadable), working=bool(worker))


def order_state(environment: Environment, order_id: str) -> OrderState:
    """One order and what became of it.

    Raises:
        NotFound: There is none.
    """
    queue = environment.home.queue
    state = _stored(environment.home, order_id).state(_worker(environment.home))
    ids = [order.id for order, _ in queued_orders(queue)] if state.state == "queued" else []
    return state.model_copy(update={"place": ids.index(order_id) + 1}) if order_id in ids else state


def cancel(environment: Environment, order_id: str, by: str, *, wait_s: float = 0.0) -> OrderState:
    """Take an order out of the queue, or let the worker end its run as Ctrl-C does; returns what became of it.

    Args:
        environment: The home.
        order_id: Id of the order.
        by: Name of who cancels it, which is recorded.
        wait_s: Seconds to wait for the end of its run. 0: none; it is still running when this returns.

    Raises:
        NotFound: There is no such order.
        Conflict: It has ended.
        Unavailable: Its run did not end in time.
    """
    home = environment.home
    stored = _stored(home, order_id)
    with hold(home.queue.lock):
        state = stored.state(_worker(home))
        if state.state not in OPEN:
            raise Conflict(f"The order {order_id} has ended: {state.state}.", "glocal runs shows what is queued and what runs.")
        if not stored.is_cancelled:  # the first who asks for it is recorded
            stored.cancel(by)
        if state.state == "queued":
            stored.end("cancelled")
    if wait_s and not wait_until(lambda: order_state(environment, order_id).state not in OPEN, deadline_s=wait_s):
        raise Unavailable(f"The run of {order_id} is asked to end and has not done so yet.", f"See {stored.console}.")
    return order_state(environment, order_id)


def _the_same(kept: Order, order: Order) -> Order:
    """The order that was kept, if the other one with its id asks for the same."""
    if any(getattr(kept, name) != getattr(order, name) for name in _SAME):
        raise Conflict(f"There is another order {order.id} with other settings.", "Order the run under a new id.")
    return kept


def _stored(home: Home, order_id: str) -> StoredOrder:
    stored = StoredOrder(home.queue.orders / order_id)
    if not re.fullmatch(ORDER_ID, order_id) or not stored.exists:
        raise NotFound(f"There is no order {order_id[:100]}.", "glocal runs shows them.")
    return stored


def _worker(home: Home) -> str:
    """Id of the living worker; empty if there is none."""
    found = find_worker(home)
    return found.id if found else ""


def _moment(state: OrderState) -> datetime:
    return state.ended or state.begun or state.order.time
