"""The gain of a training over its init: the part of a training report that fits on one line."""

from pydantic import Field

from model.schemas.schema import Schema
from model.schemas.train_report import FEWEST_CLASSES, SATURATED_MAP_AT_R, TrainReport


class TrainingGain(Schema):
    """The gain of a training over its init, measured on the held-out classes."""

    epochs: int = Field(ge=0, description="Number of epochs that were trained")
    best_epoch: int = Field(ge=0, description="Epoch whose weights were kept; 0: the init was kept")
    untrained: float | None = Field(None, description="MAP@R of the untrained trunk; absent in records of earlier releases")
    init: float = Field(description="MAP@R of the init")
    best: float = Field(description="MAP@R of the weights that were kept")
    saturated: bool = Field(False, description="Whether the held-out classes are too easy or too few to tell two models apart")
    classes: int | None = Field(None, description="Number of held-out classes; absent in records of earlier releases")

    @classmethod
    def of(cls, report: TrainReport) -> "TrainingGain":
        """The gain of a training."""
        return cls(
            epochs=report.epochs_done,
            best_epoch=report.best_epoch,
            untrained=report.untrained_map_at_r,
            init=report.init_map_at_r,
            best=report.validation_map_at_r,
            saturated=report.saturated,
            classes=report.validation_classes,
        )

    def __str__(self) -> str:
        """The gain in one line."""
        if self.classes == 0:
            return "the init was kept: there are no held-out classes to compare epochs on"
        untrained = "" if self.untrained is None else f"untrained {self.untrained:.3f}, "
        figures = f"held-out MAP@R {untrained}init {self.init:.3f}"
        if self.best_epoch == 0:
            return f"the init was kept: no epoch was better (of {self.epochs}), {figures}{self._saturation}"
        return f"best epoch {self.best_epoch} of {self.epochs}, {figures}, best {self.best:.3f}{self._saturation}"

    @property
    def _saturation(self) -> str:
        """Why a difference between epochs may be chance; empty if the held-out classes tell models apart."""
        reasons = []
        if self.classes is not None and self.classes < FEWEST_CLASSES:
            reasons.append(f"there are only {self.classes} held-out classes (fewer than {FEWEST_CLASSES})")
        if self.init >= SATURATED_MAP_AT_R:
            reasons.append(f"validation is saturated at {self.init:.3f} ({SATURATED_MAP_AT_R} or more)")
        return f"; {' and '.join(reasons)}, so a difference between epochs may be chance" if self.saturated and reasons else ""
