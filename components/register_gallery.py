"""Step of enrolment and removal: a version of the registered model, alias challenger."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register_gallery(base: dict[str, Any], release: dsl.Input[dsl.Model], decision: dsl.Input[dsl.Artifact]) -> str:
    """Keep the release in the registry, with the evidence of the version whose gallery was changed.

    Reads:
        base: The model, and the version whose gallery was changed.
        release, decision: What the steps before wrote.

    Returns:
        The version.

    Fails when the release is not whole, when the decision is on another release, when the gate refused it, or when the
    registry does not answer.
    """
    from pathlib import Path

    from components.runtime.reporting import record_registered
    from components.runtime.run_record import recorded_run
    from components.runtime.step import step
    from model.schemas.gallery import GalleryBase
    from serving.enrolment import register_gallery as register

    with step("register") as current:
        registered = register(
            Path(release.path),
            Path(decision.path),
            GalleryBase(**base),
            tracking_uri=current.environment.mlflow_uri,
            run=recorded_run(current.environment),
        )
        record_registered(current, registered)
        return registered.version
