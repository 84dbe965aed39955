"""The result of a pipeline run."""

from typing import Any, Literal

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.gallery import GalleryChange
from model.schemas.reproduction import Reproduction
from model.schemas.schema import Schema
from model.schemas.training_gain import TrainingGain

RunStatus = Literal["succeeded", "awaiting", "rejected", "failed", "killed"]
REJECTED_EXIT_CODE = 6
_ONLY_WHERE_SET = ("gallery", "reproduction", "error", "refused", "refused_rules", "decision")


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
    log: str = Field("", description="Path of the log with the details")
    defects: tuple[str, ...] = Field((), description="Defects of the data, if they are the reason")
    exit_code: int = Field(1, description="Exit code of the command line")


class RunResult(Schema):
    """The result of a run, as `glocal run --json` prints it and `result.json` keeps it."""

    status: RunStatus = Field(
        description="succeeded; awaiting approval; rejected by the gate; failed; killed: stopped or ended from outside"
    )
    run_id: str = Field("", description="Id of the run in MLflow")
    log: str = Field("", description="Path of the log of the whole run")
    steps: tuple[StepResult, ...] = Field((), description="Finished steps in their order")
    data: DataPin | None = Field(None, description="Version of the data")
    training: TrainingGain | None = Field(None, description="Gain of the training over its init")
    report: dict[str, Any] | None = Field(None, description="Figures of model, untrained trunk and re-ranking; verdict; path")
    gallery: GalleryChange | None = Field(None, description="Change of the gallery; absent if the run trained a model")
    reproduction: Reproduction | None = Field(None, description="A version and its training repeated; absent in other runs")
    model: str | None = Field(None, description="Name of the registered model")
    model_version: str | None = Field(None, description="Registered version")
    alias: str | None = Field(None, description="Alias of that version")
    address: str | None = Field(None, description="Address of the endpoint")
    error: RunError | None = Field(None, description="Reason of the failure; absent if the run did not fail")
    refused: tuple[str, ...] | None = Field(None, description="Sentences of the rules that did not hold; absent if all held")

    refused_rules: tuple[str, ...] | None = Field(None, description="Settings of the rules that did not hold; absent if all held")
    decision: str | None = Field(None, description="Path of decision.json; absent if all rules held")

    @property
    def exit_code(self) -> int:
        """Exit code of the command line."""
        if self.error:
            return self.error.exit_code
        if self.reproduction and not self.reproduction.agrees:
            return 1
        return {"succeeded": 0, "awaiting": 0, "rejected": REJECTED_EXIT_CODE}.get(self.status, 1)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object. Fields of a failure or a refusal are left out if there was none."""
        dumped = self.model_dump(mode="json")
        return {key: value for key, value in dumped.items() if value is not None or key not in _ONLY_WHERE_SET}
