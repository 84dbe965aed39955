"""Step 6: a version of the registered model, alias challenger."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(settings: dict, release: dsl.Input[dsl.Model], report: dsl.Input[dsl.Artifact]) -> str:  # type: ignore[type-arg]
    """Keep the release in the registry with its evidence and its model card. A release that is there keeps its version.

    Reads:
        settings: The `serve` section of the configuration.
        release, report: What `index` and `evaluate` wrote.

    Returns:
        The version.

    Fails when the release is not whole, when the report is on another release, when the champion was made from another data
    set, or when the registry does not answer.
    """
    from pathlib import Path

    from components.runtime.step import run_evidence, step
    from model.config import ServeConfig
    from serving.promotion import register_release

    with step("register") as current:
        place, run_id = current.environment.mlflow_uri, current.environment.run_id
        registered = register_release(
            Path(release.path), Path(report.path), ServeConfig(**settings), tracking_uri=place, run_id=run_id
        )
        current.tags |= {"model": registered.model, "version": registered.version}
        run_evidence(current.environment, {}, {"model": registered.model, "model_version": registered.version}, {})
        return registered.version
