"""What is put on record of a training: its curves, and what it gave over its start."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.runtime.step import Step
from model.schemas.training_gain import TrainingGain


def record_training(history: Sequence[Mapping[str, Any]], best_epoch: int, current: Step, *, saturated: bool = False) -> None:
    """Record a training with the run and, where the step at work is the one that trained, with the step.

    The step `train` does this, and so does `gate` from the report: the run may have taken its training from the cache.

    Args:
        history: One entry an epoch with `epoch`, `map_at_r` and, after the start, `loss`.
        best_epoch: Epoch whose weights were kept.
        current: The step at work.
        saturated: Whether the validation classes are too easy to tell two models apart.
    """
    if not current.environment.run_id:
        return
    from serving.registry.runs import Runs

    gain, runs = TrainingGain.of_history(history, best_epoch, saturated=saturated), Runs(current.environment.mlflow_uri)
    runs.log_training(current.environment.run_id, history, gain)
    if current.name == "train" and current.record_id:
        runs.log_training(current.record_id, history, gain)
