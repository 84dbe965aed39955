"""An order: a run that somebody asked for, and what became of it."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from model.schemas.document import Document
from model.schemas.run_record import Failure, RunState
from model.schemas.schema import Schema
from model.schemas.unreadable import Unreadable

ORDER_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
"""Pattern of the ids of orders and of schedules: they name folders."""
USER_NAME = r"^[^\x00-\x1f\x7f]+$"
"""Pattern of the name of a person: it becomes an environment variable."""
OrderId = Annotated[str, StringConstraints(pattern=ORDER_ID)]
OrderStage = Literal["queued", "cancelled", "refused"] | RunState
"""The state of its run; before that `queued`. `cancelled`: it was taken out of the queue. `refused`: nothing was started."""


class Order(Document):
    """A run that somebody asked for. It is written once and never changed."""

    REMEDY: ClassVar[str] = "Remove its folder, and order the run again."

    format: int = 1
    id: OrderId = Field(description="The caller's key: the same id is the same order, however often it is submitted")
    source: str = Field(min_length=1, max_length=4096, description="A folder, a CSV, s3://bucket/prefix, or name@revision")
    name: str = Field("", max_length=64, description="Name of the data set; empty: after the source")
    settings: dict[str, Any] = Field({}, description="The settings that were given, by section; all others have their defaults")
    runner: Literal["", "local", "docker", "kubeflow"] = Field(
        "", description="Where it is executed; empty: as GLOCAL_RUNNER says"
    )
    why: str = Field("a training run", max_length=2000, description="Reason, recorded with the run and with the promotion")
    user: str = Field(pattern=USER_NAME, max_length=200, description="Name of who ordered it")
    time: AwareDatetime = Field(
        default_factory=lambda: datetime.now(UTC), description="Time of the order; orders are executed in this order"
    )
    again_of: str = Field("", max_length=64, description="Id of the run that it repeats, with or without changes; else empty")
    schedule: str = Field("", max_length=100, description="Id of the schedule that ordered it; empty if a person did")


class Cancelled(Schema):
    """Somebody asked for the end of an order or a run."""

    at: AwareDatetime = Field(description="When")
    by: str = Field(description="Name of who did")


class OrderState(Schema):
    """An order and what became of it."""

    order: Order = Field(description="The order")
    state: OrderStage = Field(description="Where it is")
    place: int | None = Field(None, ge=1, description="Place in the queue, 1 for the next; absent unless it is queued")
    begun: AwareDatetime | None = Field(None, description="Time at which its run was started; absent if it was not")
    ended: AwareDatetime | None = Field(None, description="Time at which it ended; absent while it is queued or running")
    folder: str = Field("", description="Folder of the run's logs, events and result; empty before it is started")
    run_id: str = Field("", description="Id of its run in MLflow; empty before it is on record")
    pid: int | None = Field(None, description="Process of the run; absent unless it is running")
    cancelled_by: str = Field("", description="Name of who cancelled it; empty if nobody did")
    error: Failure | None = Field(None, description="Reason of a refusal or a failure; absent if there was none")


class QueueState(Schema):
    """The queue: its orders, and whether they are executed."""

    orders: tuple[OrderState, ...] = Field(description="What runs, what is queued in its order, and what ended last")
    unreadable: tuple[Unreadable, ...] = Field((), description="Folders of orders that cannot be read")
    working: bool = Field(description="Whether a worker executes what is queued")
