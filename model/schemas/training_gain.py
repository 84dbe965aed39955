"""The gain of a training over its init: the part of a training report that fits on one line."""

from pydantic import Field

from model.schemas.schema import Schema
from model.schemas.train_report import TrainReport


class TrainingGain(Schema):
    """The gain of a training over its init, measured on the validation classes."""

    epochs: int = Field(ge=0, description="Number of epochs that were trained")
    best_epoch: int = Field(ge=0, description="Epoch whose weights were kept; 0: the init was kept")
    init: float = Field(description="MAP@R of the init")
    best: float = Field(description="MAP@R of the weights that were kept")
    saturated: bool = Field(False, description="Whether the validation classes are too easy to tell two models apart")

    @classmethod
    def of(cls, report: TrainReport) -> "TrainingGain":
        """The gain of a training."""
        return cls(
            epochs=report.epochs_done,
            best_epoch=report.best_epoch,
            init=report.init_map_at_r,
            best=report.validation_map_at_r,
            saturated=report.saturated,
        )

    def __str__(self) -> str:
        """The gain in one line."""
        if self.best_epoch == 0:
            said = f"the init was kept: no epoch was better (of {self.epochs}), validation MAP@R {self.init:.3f}"
        else:
            said = (
                f"best epoch {self.best_epoch} of {self.epochs}, "
                f"validation MAP@R {self.init:.3f} -> {self.best:.3f} (init -> best)"
            )
        return said + ("; the validation classes are too few or too easy to tell models apart" if self.saturated else "")
