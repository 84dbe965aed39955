"""How a training went, as the report tells it: read from the checkpoint's training.json."""

from pathlib import Path

from model.errors import InvalidInput
from model.files import read_json
from model.schemas.report import Epoch, TrainingSummary

_SATURATED = 0.995
_TOO_EASY = (
    "The validation classes are too easy to tell two models apart: their MAP@R is {:.3f}. "
    "The choice of the epoch says little; validate on more classes."
)


def read_training(checkpoint: Path) -> TrainingSummary:
    """The summary of the training that wrote a checkpoint.

    Raises:
        InvalidInput: The file is damaged.
    """
    file = checkpoint / "training.json"
    try:
        stored = read_json(file)
        summary = TrainingSummary(
            epochs=stored["epochs"], best_epoch=stored["best_epoch"], history=tuple(Epoch(**each) for each in stored["history"])
        )
        saturated = summary.best >= _SATURATED
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise InvalidInput(f"{file} is damaged.", "Run the pipeline again; the step train writes it.") from error
    return summary.model_copy(update={"saturated": saturated, "warning": _TOO_EASY.format(summary.best) if saturated else ""})
