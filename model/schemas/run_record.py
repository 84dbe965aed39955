"""The record of a pipeline run and of its steps."""

from typing import Literal

from pydantic import AwareDatetime, Field

from model.schemas.data_pin import DataPin
from model.schemas.schema import Schema
from model.schemas.training_gain import TrainingGain

RunState = Literal["running", "succeeded", "rejected", "awaiting", "failed", "killed"]
"""`rejected`: the gate refused the model. `awaiting`: it is registered, and serves once operators have approved it. `killed`: the
run was stopped or ended from outside."""


class Failure(Schema):
    """Why a run or a step failed."""

    step: str = Field(description="Name of the step that failed; empty if no step did")
    headline: str = Field(description="What went wrong, in one line")
    hint: str = Field("", description="What to do about it, in one line")


class StepRecord(Schema):
    """The record of a step, with the fields that a run has as well."""

    id: str = Field(description="Id in MLflow")
    name: str = Field(description="Name for people")
    state: RunState = Field(description="State of the run or step")
    started: AwareDatetime = Field(description="Time of its begin")
    ended: AwareDatetime | None = Field(None, description="Time of its end; absent while it is under way")
    params: dict[str, str] = Field({}, description="Settings and other parameters")
    metrics: dict[str, float] = Field({}, description="The latest finite value of every figure")
    tags: dict[str, str] = Field({}, description="Texts, without those that are MLflow's own")
    artifacts: str = Field("", description="Address of its files")
    failure: Failure | None = Field(None, description="Reason of a failure; absent if it did not fail")


class RunRecord(StepRecord):
    """One pipeline run."""

    kind: str = Field("", description="The pipeline, such as training")
    user: str = Field("", description="Name of the person who started it")
    why: str = Field("", description="Reason that the user gave")
    code_revision: str = Field("", description="Revision of the code")
    git_commit: str = Field("", description="Git commit of the code's checkout; empty if there is no checkout")
    folder: str = Field("", description="Folder of its logs and result")
    order: str = Field("", description="Id of the order of the queue that it executes; empty if it was not queued")
    data: DataPin | None = Field(None, description="Version of the data; absent before it is known")
    training: TrainingGain | None = Field(None, description="Gain of the training; absent before it is known")
    model: str = Field("", description="Name of the registered model; empty before it is registered")
    model_version: str = Field("", description="Registered version; empty before it is registered")
    address: str = Field("", description="Address of the endpoint; empty before the model is deployed")
    refused: tuple[str, ...] = Field((), description="Sentences of the rules of the gate that did not hold")
    steps: tuple[StepRecord, ...] = Field((), description="Steps in the order in which they began")


class RunPage(Schema):
    """One page of a list of runs."""

    runs: tuple[RunRecord, ...] = Field(description="The runs, newest first, without their steps")
    next: str = Field("", description="Token of the next page; empty if this is the last")
