"""What is told of a job: how far it is, how it ended, what it found or made."""

from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from model.errors import Unavailable, error_of_code
from model.schemas.document import Document
from model.schemas.schema import Schema
from model.schemas.unreadable import Unreadable
from pipelines.jobs.kind import EndState

REMEDY = "Remove the folder of this job, and ask for it again."
JobState = Literal["running", EndState, "killed"]
_NAMED = 10
"""Details that an error names."""


class Step(Schema):
    """How far a step has come."""

    name: str = Field(description="Name of the step")
    state: Literal["running", "succeeded", "failed", "cached", "waiting"] = Field(description="State of the step")
    text: str = Field("", description="Its last progress, or what went wrong")
    done: int = Field(0, description="Units of work that are done")
    total: int = Field(0, description="Units in all; 0 if that is not known")
    seconds: float | None = Field(None, description="Its duration, once it has ended")


class Ended(Document):
    """How a job ended."""

    REMEDY: ClassVar[str] = REMEDY
    format: Literal[1] = 1
    at: AwareDatetime = Field(description="When")
    state: EndState = Field(description="How")
    headline: str = Field(description="What is so now, or what went wrong")
    hint: str = Field("", description="What to do about it")
    details: tuple[str, ...] = Field((), description="More on it, a line each")
    error: str = Field("", description="Name of the error that ended it, as `GlocalError.code`; empty: it was done to its end")


class JobStatus(Schema):
    """A job as it is at this moment."""

    id: str = Field(description="Its id")
    kind: str = Field(description="Name of its kind")
    doing: str = Field(description="What it does, for people")
    by: str = Field(description="Name of who asked for it")
    why: str = Field("", description="The reason")
    at: AwareDatetime = Field(description="When it was asked for")
    state: JobState = Field(description="`killed`: its process is gone and did not say how it ended")
    note: str = Field("", description="What is so while it is under way, or after it failed or was killed")
    steps: tuple[Step, ...] = Field((), description="Its steps, in the order in which they began")
    warnings: tuple[str, ...] = Field((), description="What it warned of")
    ended: Ended | None = Field(None, description="How it ended; absent if it has not, or was killed")
    result: Any = Field(None, description="What the action answers, once it was done to its end; absent in a list of jobs")

    def outcome(self) -> Any:
        """What the action answers, as JSON, of a job that has ended.

        Raises:
            GlocalError: What the action raised.
            Unavailable: The job was killed.
        """
        if self.ended is None:
            raise Unavailable(f"{self.doing[:1].upper()}{self.doing[1:]} was killed.", self.note)
        if self.ended.error:
            more = "; ".join(self.ended.details[:_NAMED])
            raise error_of_code(self.ended.error, self.ended.headline, f"{self.ended.hint} {more}".strip())
        return self.result


class Jobs(Schema):
    """The latest jobs."""

    jobs: tuple[JobStatus, ...] = Field(description="The jobs, newest first, without their results")
    unreadable: tuple[Unreadable, ...] = Field((), description="Folders of jobs that cannot be read")
