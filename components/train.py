"""Step 2: train the heads, and the trunk if asked."""

from typing import Any

from kfp import dsl

from components.runtime.image import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train(
    pin: dict[str, Any],
    model: dict[str, Any],
    train: dict[str, Any],
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    work: str = "",
) -> None:
    """Choose settings and epochs on held-out classes, then train on all training and validation classes.

    Reads:
        pin: The data.
        model, train: These sections of the configuration.
        work: Folder of reusable files in the home's `work`; empty: the one that all runs share.

    Writes:
        checkpoint: The network's weights and how to build it.
        metrics: The figures of the training report: held-out MAP@R of the untrained trunk, the init and the kept epoch,
            the epochs planned and done, the best epoch, and whether the init was kept or the held-out classes are saturated.

    It trains in `train.processes` processes on each of `train.nodes` machines. Fails when the loss diverges or there are fewer
    than two training classes. Killed, it resumes after the last step on record.
    """
    from pathlib import Path

    from components.runtime.data import fetch_data
    from components.runtime.run_record import record_training
    from components.runtime.step import step
    from components.runtime.training import train_as_ordered
    from model.config import ModelConfig, TrainConfig
    from model.training.order import TrainOrder

    with step("train") as current:
        parsed, folder = fetch_data(pin, current)
        order = TrainOrder(
            dataset=folder,
            model=ModelConfig(**model),
            train=TrainConfig(**train),
            data_md5=parsed.md5,
            work=current.work(work),
            out=Path(checkpoint.path),
        )
        report = train_as_ordered(order, current)
        record_training(current.environment, report, current.record_id)
        current.figures |= report.figures
        current.tags |= {"kept": report.outcome, "warning": report.warning or "none"}
        current.publish(metrics)
