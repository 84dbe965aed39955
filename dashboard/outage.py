"""MLflow is lost or down: pages show what the files of the home say, and that this is all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request

from model.errors import GlocalError, StorageFailed, Unavailable
from serving.registry.store import answering, sqlite_file

T = TypeVar("T")


@dataclass(frozen=True)
class Outage:
    """That the records cannot be read.

    Attributes:
        error: Why, and what to do.
        seen_up: When MLflow was last seen up, in seconds since 1970; None if that is not known.
    """

    error: GlocalError
    seen_up: float | None


def unless_down(request: Request, read: Callable[[], T]) -> tuple[T | None, Outage | None]:
    """What is read from MLflow; or, where it is lost or does not answer, that it is. A server known to be down is not waited for.

    Args:
        request: The request that is answered.
        read: Reads from MLflow.
    """
    address = request.app.state.environment.mlflow_uri
    known = next((each for each in request.app.state.monitor.view.services if each.key == "mlflow"), None)
    seen_up = known.seen_up if known else None
    if known is not None and known.state == "down" and sqlite_file(address) is None:
        return None, Outage(Unavailable(known.said, known.hint), seen_up)
    try:
        with answering(address):
            return read(), None
    except (StorageFailed, Unavailable) as error:
        return None, Outage(error, seen_up)
