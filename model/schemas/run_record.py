"""What the record of runs says of a pipeline run and of its steps."""

from typing import Literal

from pydantic import AwareDatetime, Field

from model.schemas.data_pin import DataPin
from model.schemas.schema import Schema
from model.schemas.training_gain import TrainingGain

RunState = Literal["running", "succeeded", "rejected", "failed", "killed"]
"""`rejected`: the gate refused the model. `killed`: the run was stopped or ended from outside."""


class Failure(Schema):
    """Why a run or a step failed."""

    step: str = Field(description="Name of the step that failed; empty where no step did")
    headline: str = Field(description="What went wrong, in one line")
    hint: str = Field("", description="What to do about it, in one line")


class StepRecord(Schema):
    """One step of a run, or what a run and a step have in common."""

    id: str = Field(description="Id in MLflow")
    name: str = Field(description="Name for people")
    state: RunState = Field(description="How it ended, or that it has not")
    started: AwareDatetime = Field(description="When it began")
    ended: AwareDatetime | None = Field(None, description="When it ended; absent while it is under way")
    params: dict[str, str] = Field({}, description="Settings and other parameters")
    metrics: dict[str, float] = Field({}, description="The latest finite value of every figure")
    tags: dict[str, str] = Field({}, description="Texts, without those that are MLflow's own")
    artifacts: str = Field("", description="Address of its files")
    failure: Failure | None = Field(None, description="Why it failed; absent if it did not")


class RunRecord(StepRecord):
    """One pipeline run."""

    kind: str = Field("", description="The pipeline, such as training")
    user: str = Field("", description="Who started it")
    why: str = Field("", description="Reason that the user gave")
    code_revision: str = Field("", description="Code of the run")
    git_commit: str = Field("", description="Commit of the checkout that the code lies in; empty if it is none")
    folder: str = Field("", description="Folder of its logs and result")
    data: DataPin | None = Field(None, description="The version of the data; absent before it is known")
    training: TrainingGain | None = Field(None, description="What the training gave; absent before it is known")
    model: str = Field("", description="Name of the registered model; empty before it is registered")
    model_version: str = Field("", description="Registered version; empty before it is registered")
    address: str = Field("", description="Where the model is served; empty before it is deployed")
    refused: tuple[str, ...] = Field((), description="Sentences of the rules that the model did not hold")
    steps: tuple[StepRecord, ...] = Field((), description="Steps in the order in which they began")
