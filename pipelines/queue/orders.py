"""The orders of a home: submitted, listed, cancelled."""

from model.environment import Environment
from model.schemas.order import Order, OrderState


def submit(environment: Environment, order: Order) -> Order:
    """Check an order and put it at the end of the queue; returns it as it is kept. `ensure_worker` lets it be executed.

    The same id twice is one order, whoever submits it at the same time.

    Raises:
        InvalidInput: There is no such source, setting, method, attention block or trunk. Nothing was kept.
        Conflict: The id is that of another order.
    """
    raise NotImplementedError


def orders(environment: Environment, limit: int = 50) -> list[OrderState]:
    """The orders: what runs, what is queued in its order, and the latest `limit` that ended, newest first."""
    raise NotImplementedError


def order_state(environment: Environment, order_id: str) -> OrderState:
    """One order and what became of it.

    Raises:
        NotFound: There is none.
    """
    raise NotImplementedError


def cancel(environment: Environment, order_id: str, by: str) -> OrderState:
    """Take an order out of the queue, or end its run as Ctrl-C does; returns what became of it.

    Args:
        environment: The home.
        order_id: Id of the order.
        by: Name of who cancels it, which is recorded.

    Raises:
        NotFound: There is no such order.
        Conflict: It has ended.
        Unavailable: Its run does not end.
    """
    raise NotImplementedError
