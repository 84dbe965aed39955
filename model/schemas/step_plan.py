"""What a run will do, or did, in one step, and why."""

from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema


class StepPlan(Schema):
    """What a step of a run that was not started yet will do."""

    step: str = Field(description="Name of the step")
    will: Literal["cached", "runs"] = Field(description="cached: its result is taken from an earlier run")
    why: str = Field(description="Reason in one sentence")


class RunPlan(Schema):
    """What a run that was not started yet will do, step by step."""

    steps: tuple[StepPlan, ...] = Field(description="The steps in their order")
    assumes: str = Field("", description="Condition under which this holds, as a clause; empty if it holds in any case")


class StepReason(Schema):
    """Why a step of a run ran, or did not."""

    step: str = Field(description="Name of the step")
    ran: bool = Field(description="Whether it ran; if not, its result was taken from an earlier run")
    why: str = Field(description="Reason in one sentence")
