"""What a training gave over its start."""

from typing import Any

from pydantic import Field

from model.schemas.schema import Schema


class TrainingGain(Schema):
    """What a training gave over its start, measured on the validation classes."""

    epochs: int = Field(ge=0, description="Number of epochs that were trained")
    best_epoch: int = Field(ge=0, description="Epoch whose weights were kept; 0: the start was kept")
    start: float = Field(description="MAP@R of the start")
    best: float = Field(description="MAP@R of the weights that were kept")
    saturated: bool = Field(False, description="Whether the validation classes are too easy to tell two models apart")

    @classmethod
    def of_history(cls, history: Any, best_epoch: int, *, saturated: bool = False) -> "TrainingGain":
        """The gain of a training from its history.

        Args:
            history: One entry an epoch with `epoch` and `map_at_r`, from epoch 0 (the start) on.
            best_epoch: Epoch whose weights were kept.
            saturated: Whether the validation classes are too easy.
        """
        figures = {int(entry["epoch"]): float(entry["map_at_r"]) for entry in history}
        return cls(epochs=max(figures), best_epoch=best_epoch, start=figures[0], best=figures[best_epoch], saturated=saturated)

    def __str__(self) -> str:
        """The gain in one line."""
        if self.best_epoch == 0:
            said = f"the start was kept: no epoch was better (of {self.epochs}), validation MAP@R {self.start:.3f}"
        else:
            said = (
                f"best epoch {self.best_epoch} of {self.epochs}, "
                f"validation MAP@R {self.start:.3f} -> {self.best:.3f} (start -> best)"
            )
        return said + ("; the validation classes are too easy to tell models apart" if self.saturated else "")
