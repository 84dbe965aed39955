"""What is put on record of a training: its curves, and what it gave over its init."""

from components.runtime.step import Step
from model.schemas.train_report import TrainReport


def record_training(report: TrainReport, current: Step) -> None:
    """Record a training with the run and, where the step at work is the one that trained, with the step.

    The step `train` does this, and so does `gate` from the report: the run may have taken its training from the cache.
    """
    if not current.environment.run_id:
        return
    from serving.registry.runs import Runs

    runs = Runs(current.environment.mlflow_uri)
    runs.log_training(current.environment.run_id, report)
    if current.name == "train" and current.record_id:
        runs.log_training(current.record_id, report)
