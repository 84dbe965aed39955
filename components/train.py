"""Step 2: train the heads, and the trunk if asked."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    pin: dict,  # type: ignore[type-arg]
    model: dict,  # type: ignore[type-arg]
    settings: dict,  # type: ignore[type-arg]
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Train on the training classes; keep the best epoch by MAP@R on the validation classes.

    Reads:
        pin: The data.
        model, settings: The `model` and `train` sections of the configuration.

    Writes:
        checkpoint: The network's weights and how to build it.
        metrics: Validation MAP@R, epochs.

    Fails when the loss diverges or there are fewer than two training classes. Killed, it resumes after the last step on record.
    """
    from pathlib import Path

    from components.pinning import fetch_data
    from components.runtime.step import step
    from components.training_record import record_training
    from model.config import ModelConfig, TrainConfig
    from model.training.train import train as train_network

    with step("train") as current:
        parsed, folder = fetch_data(pin, current)
        report = train_network(
            folder,
            ModelConfig(**model),
            TrainConfig(**settings),
            data_md5=parsed.md5,
            work=current.work,
            out=Path(checkpoint.path),
            progress=current.progress,
        )
        record_training(report.history, report.best_epoch, current)
        current.figures |= {"validation_map_at_r": report.validation_map_at_r, "epochs": report.epochs}
        current.publish(metrics)
