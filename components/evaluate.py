"""Step 4: figures on classes never seen, beside the untrained trunk's."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    pin: dict[str, Any],
    model: dict[str, Any],
    train: dict[str, Any],
    evaluate: dict[str, Any],
    checkpoint: dsl.Input[dsl.Model],
    release: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    work: str = "",
) -> None:
    """Search the test classes among themselves with the release, and with the trunk alone.

    Reads:
        pin: The data.
        model, train, evaluate: These sections of the configuration.
        checkpoint: What `train` wrote, for how the training went.
        release: What `index` wrote.
        work: Folder of reusable files in the home's `work`; empty: the one that all runs share.

    Writes:
        report: report.json, report.html, the model card, contact sheets, and every query's figures.
        page: The report as a page.
        metrics: Its headline figures.

    Fails when the data has no test classes.
    """
    import shutil
    from pathlib import Path

    from components.runtime.data import fetch_data
    from components.runtime.step import step
    from model.config import EvaluateConfig, ModelConfig, TrainConfig
    from model.evaluation.evaluate import evaluate_release
    from model.evaluation.report import PAGE

    with step("evaluate") as current:
        parsed, folder = fetch_data(pin, current)
        found = evaluate_release(
            Path(release.path),
            Path(checkpoint.path),
            folder,
            Path(report.path),
            md5=parsed.md5,
            model=ModelConfig(**model),
            training=TrainConfig(**train),
            evaluation=EvaluateConfig(**evaluate),
            work=current.work(work),
            progress=current.progress,
        )
        shutil.copyfile(Path(report.path) / PAGE, page.path)
        current.figures |= found.recorded()
        current.publish(metrics)
