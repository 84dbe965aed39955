"""An order on disk: a folder whose files are written once each, so what became of it can be read at any moment.

GLOCAL_HOME/queue/orders/ID/
    order.json          the order
    begun.json          it was given to a process; an order is begun once
    cancelled.json      somebody asked for its end
    ended.json          how it ended
    console.log         what its process printed
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import AwareDatetime, Field, ValidationError

from model.errors import GlocalError, NotFound
from model.files import atomic_folder, read_mapping, write_json
from model.home import BEGUN, RESULT, QueueFolder
from model.schemas.document import read_schema
from model.schemas.order import Cancelled, Order, OrderStage, OrderState
from model.schemas.run_record import Failure, RunState
from model.schemas.schema import Schema

_REMEDY = "Remove the folder of this order, and order the run again."
_log = logging.getLogger(__name__)
S = TypeVar("S", bound=Schema)


class Begun(Schema):
    """An order was given to a process."""

    at: AwareDatetime = Field(description="When")
    worker: str = Field(description="The worker, with which its runs end")
    folder: str = Field(description="Folder of the run's logs and result")
    pid: int | None = Field(None, description="The process; None before it is there")


class Ended(Schema):
    """How an order ended."""

    at: AwareDatetime = Field(description="When")
    state: OrderStage = Field(description="How")
    error: Failure | None = Field(None, description="Reason of a refusal or a failure")


@dataclass(frozen=True)
class StoredOrder:
    """An order on disk. Whoever changes it holds the lock of the queue.

    Attributes:
        root: Its folder.
    """

    root: Path

    @property
    def exists(self) -> bool:
        """Whether there is such an order."""
        return (self.root / "order.json").is_file()

    @property
    def console(self) -> Path:
        """File of what its process printed."""
        return self.root / "console.log"

    @property
    def order(self) -> Order:
        """The order.

        Raises:
            NotFound, InvalidInput: It is not there, or damaged.
        """
        return Order.load(self.root / "order.json")

    @property
    def begun(self) -> Begun | None:
        """Its begin; None if it was not begun."""
        return self._read(Begun)

    @property
    def cancelled(self) -> Cancelled | None:
        """Who asked for its end; None if nobody did."""
        return self._read(Cancelled)

    @property
    def ended(self) -> Ended | None:
        """Its end; None if it has not ended, or nobody noted it yet."""
        return self._read(Ended)

    @property
    def is_queued(self) -> bool:
        """Whether it was neither begun nor ended."""
        return self.exists and not any((self.root / _file(kind)).exists() for kind in (Begun, Ended))

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked for its end."""
        return (self.root / _file(Cancelled)).exists()

    @property
    def is_open(self) -> bool:
        """Whether no end is noted."""
        return not (self.root / _file(Ended)).exists()

    def ended_ns(self) -> int:
        """Time at which its end was noted, in nanoseconds since 1970; 0 if it was not."""
        try:
            return (self.root / _file(Ended)).stat().st_mtime_ns
        except OSError:
            return 0

    def create(self, order: Order) -> None:
        """Keep a new order: the whole folder or nothing."""
        with atomic_folder(self.root) as folder:
            order.save(folder / "order.json")

    def begin(self, begun: Begun) -> None:
        """Note its begin, or the process that it was given to."""
        self._write(begun)

    def cancel(self, by: str) -> None:
        """Note who asked for its end."""
        self._write(Cancelled(at=datetime.now(UTC), by=by))

    def end(self, state: OrderStage, error: Failure | None = None) -> None:
        """Note how it ended, unless that is noted already."""
        if self.is_open:
            self._write(Ended(at=datetime.now(UTC), state=state, error=error))

    def end_as_its_run(self, error: Failure | None = None) -> None:
        """Note the end of a begun order whose process is gone, or goes with an error.

        Args:
            error: The error. If no run was begun before it, the order was refused.
        """
        if begun := self.begun:
            state, reason = _end_of_run(begun)
            was_refused = error and not _run_id(begun)
            self.end("refused" if was_refused else state, reason or error)

    def state(self, worker: str, place: int | None = None) -> OrderState:
        """What became of it.

        Args:
            worker: Id of the living worker; empty if none lives.
            place: Its place in the queue, if it is queued.
        """
        order, begun, cancelled, ended = self.order, self.begun, self.cancelled, self.ended
        told: dict[str, Any] = {"cancelled_by": cancelled.by} if cancelled else {}
        if begun:
            told |= {"begun": begun.at, "folder": begun.folder, "run_id": _run_id(begun)}
        if ended:
            told |= {"state": ended.state, "ended": ended.at, "error": ended.error}
        elif not begun:
            told |= {"state": "queued", "place": place}
        elif begun.worker == worker:
            told |= {"state": "running", "pid": begun.pid}
        else:
            told["state"], told["error"] = _end_of_run(begun)
        return OrderState(order=order, **told)

    def _read(self, kind: type[S]) -> S | None:
        try:
            return read_schema(kind, self.root / _file(kind), _REMEDY)
        except NotFound:
            return None

    def _write(self, value: Schema) -> None:
        write_json(self.root / _file(type(value)), value.model_dump(mode="json", exclude_none=True))


def stored_orders(queue: QueueFolder) -> Iterator[StoredOrder]:
    """All orders in no order."""
    yield from (StoredOrder(folder) for folder in queue.orders.glob("[!.]*"))


def queued_orders(queue: QueueFolder) -> list[tuple[Order, StoredOrder]]:
    """What is queued, the next first. One that is damaged is left out."""
    return sorted(readable(each for each in stored_orders(queue) if each.is_queued), key=lambda pair: (pair[0].time, pair[0].id))


def readable(stored: Iterator[StoredOrder]) -> Iterator[tuple[Order, StoredOrder]]:
    """The orders that can be read; of one that is damaged the log says so."""
    for each in stored:
        try:
            yield each.order, each
        except GlocalError as error:
            _log.warning("%s", error)


def _file(kind: type[Schema]) -> str:
    return f"{kind.__name__.lower()}.json"


def _end_of_run(begun: Begun) -> tuple[OrderStage, Failure | None]:
    """How the run of an order ended whose process is gone, with the reason of a failure; killed if it left no result."""
    result = read_mapping(Path(begun.folder) / RESULT)
    status: Any = result.get("status")
    error = result.get("error")
    told = {key: error[key] for key in Failure.model_fields if key in error} if isinstance(error, dict) else None
    with contextlib.suppress(ValidationError):  # it is damaged, and what is known is told
        return status if status in get_args(RunState) else "killed", Failure.model_validate(told) if told else None
    return "failed", None


def _run_id(begun: Begun) -> str:
    """Id of the record of an order's run; empty before there is one."""
    return str(read_mapping(Path(begun.folder) / BEGUN).get("run_id") or "")
