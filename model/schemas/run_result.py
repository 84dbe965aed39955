"""What a pipeline run came to."""

from typing import Any, Literal

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.schema import Schema
from model.schemas.training_gain import TrainingGain

RunStatus = Literal["succeeded", "rejected", "failed", "killed"]
REJECTED_EXIT_CODE = 6
_ONLY_WHERE_SET = ("error", "refused")


class StepResult(Schema):
    """One finished step."""

    name: str = Field(description="Name of the step")
    seconds: float = Field(0.0, ge=0, description="Duration of the step; 0 if it was taken from the cache")
    cached: bool = Field(False, description="Whether the result was taken from the cache")


class RunError(Schema):
    """Why a run failed."""

    step: str = Field(description="Name of the step that failed")
    headline: str = Field(description="What went wrong, in one line")
    hint: str = Field("", description="What to do about it, in one line")
    log: str = Field("", description="The log with the details")
    defects: tuple[str, ...] = Field((), description="The defects of the data, if they are the reason")
    exit_code: int = Field(1, description="Exit code of the command line")


class RunResult(Schema):
    """What a run came to, as `glocal run --json` prints it and as `result.json` keeps it."""

    status: RunStatus = Field(description="succeeded; rejected by the gate; failed; killed: stopped or ended from outside")
    run_id: str = Field("", description="The run in MLflow")
    log: str = Field("", description="The log of the whole run")
    steps: tuple[StepResult, ...] = Field((), description="The finished steps in their order")
    data: DataPin | None = Field(None, description="The version of the data")
    training: TrainingGain | None = Field(None, description="What the training gave over its init")
    report: dict[str, Any] | None = Field(None, description="The headline figures, the untrained trunk's, and the report's path")
    model: str | None = Field(None, description="The registered model")
    model_version: str | None = Field(None, description="The registered version")
    alias: str | None = Field(None, description="The alias of that version")
    address: str | None = Field(None, description="Where the model is served")
    error: RunError | None = Field(None, description="Why the run failed; absent if it did not")
    refused: tuple[str, ...] | None = Field(None, description="The rules that did not hold; absent unless the gate refused")

    @property
    def exit_code(self) -> int:
        """Exit code of the command line."""
        if self.error:
            return self.error.exit_code
        return {"succeeded": 0, "rejected": REJECTED_EXIT_CODE}.get(self.status, 1)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object. `error` and `refused` are left out where there are none."""
        dumped = self.model_dump(mode="json")
        return {key: value for key, value in dumped.items() if value is not None or key not in _ONLY_WHERE_SET}
