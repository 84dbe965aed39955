"""A recurring run."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from model.schemas.document import Document
from model.schemas.order import USER_NAME, OrderState
from model.schemas.schema import Schema
from model.schemas.unreadable import Unreadable

SCHEDULE_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
ScheduleId = Annotated[str, StringConstraints(pattern=SCHEDULE_ID)]


class Schedule(Document):
    """A run that is ordered again and again."""

    REMEDY: ClassVar[str] = "Remove the file, and add the schedule again: glocal schedule add."

    format: int = 1
    id: ScheduleId = Field(description="Its name")
    crontab: str = Field(
        max_length=200, description="When: minute, hour, day, month and weekday, in this machine's time zone; on Kubeflow in UTC"
    )
    source: str = Field(min_length=1, max_length=4096, description="A folder, a CSV, s3://bucket/prefix, or name@revision")
    name: str = Field("", max_length=64, description="Name of the data set; empty: after the source")
    settings: dict[str, Any] = Field({}, description="The settings that were given, by section; all others have their defaults")
    runner: Literal["", "local", "docker", "kubeflow"] = Field(
        "", description="Where it is executed, on Kubeflow by its own clock; empty: as GLOCAL_RUNNER says"
    )
    why: str = Field("a scheduled run", max_length=2000, description="Reason, recorded with every run")
    user: str = Field(pattern=USER_NAME, max_length=200, description="Name of who added it, in whose name it runs")
    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC), description="Time at which it was added")
    paused: bool = Field(False, description="Whether it orders nothing for now")


class ScheduleState(Schema):
    """A schedule, and when it orders."""

    schedule: Schedule = Field(description="The schedule")
    last: OrderState | None = Field(None, description="Its latest order; absent if there was none")
    next: AwareDatetime | None = Field(None, description="When it orders next; absent while it is paused")


class Schedules(Schema):
    """The schedules that one clock keeps."""

    schedules: tuple[ScheduleState, ...] = Field(description="The schedules by name")
    unreadable: tuple[Unreadable, ...] = Field((), description="Files of schedules that cannot be read, and order nothing")
