"""Events that a pipeline run reports while it is under way."""

from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema

EventKind = Literal["started", "progress", "warning", "defect", "finished", "failed", "cached"]


class RunEvent(Schema):
    """One event of one step.

    A step that runs has one `started`, any number of `progress`, `warning` and `defect`, and one `finished` or `failed`; again
    if it is tried again. A step whose result is taken from the cache has one `cached` instead.
    """

    step: str = Field(description="Name of the step")
    event: EventKind = Field(description="What happened")
    at: float = Field(0.0, ge=0, lt=253402300800, description="Time of the event, in seconds since 1970, before the year 10000")
    text: str = Field("", description="The progress, the warning or the defect as a sentence for people")
    done: int | None = Field(None, ge=0, description="Units of work that are done")
    total: int | None = Field(None, ge=0, description="Units of work in all; absent if the number is not known")
    seconds: float = Field(0.0, ge=0, description="Duration of a finished step")
    headline: str = Field("", description="What went wrong, in one line")
    hint: str = Field("", description="What to do about it, in one line")
    exit_code: int = Field(1, description="Exit code of the command line after a failure")

    def to_line(self) -> bytes:
        """The event as one line of JSON in ASCII, without the fields that say nothing."""
        return self.model_dump_json(exclude_defaults=True, ensure_ascii=True).encode() + b"\n"
