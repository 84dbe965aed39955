"""Step 6: a version of the registered model, alias challenger."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(
    serve: dict[str, Any],
    release: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    decision: dsl.Input[dsl.Artifact],
) -> str:
    """Keep the release in the registry with its evidence and its model card. A release that is there keeps its version.

    Reads:
        serve: The `serve` section of the configuration.
        release, report, decision: What `index`, `evaluate` and `gate` wrote.

    Returns:
        The version.

    Fails when the release is not whole, when report or decision are on another release, when the gate refused it, when the
    champion was made from another data set, or when the registry does not answer.
    """
    from pathlib import Path

    from components.runtime.reporting import show_registered
    from components.runtime.run_record import recorded_run
    from components.runtime.step import step
    from model.config import ServeConfig
    from serving.promotion import register_release

    with step("register") as current:
        registered = register_release(
            Path(release.path),
            Path(report.path),
            Path(decision.path),
            ServeConfig(**serve),
            tracking_uri=current.environment.mlflow_uri,
            run=recorded_run(current.environment),
        )
        show_registered(current, Path(report.path), Path(decision.path), registered)
        return registered.version
