"""Step 6: a version of the registered model, alias challenger."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(name: str, release: dsl.Input[dsl.Model], report: dsl.Input[dsl.Artifact], decision: dsl.Input[dsl.Artifact]) -> str:
    """Keep the release in the registry with its evidence and its model card. A release that is there keeps its version.

    Reads:
        name: The registered model.
        release, report, decision: What `index`, `evaluate` and `gate` wrote.

    Returns:
        The version.

    Fails when the release is not whole, the report is of another one, or the registry does not answer.
    """
    from pathlib import Path

    from components.releasing import register_release
    from components.runtime.step import step

    with step("register") as current:
        return register_release(name, Path(release.path), Path(report.path), Path(decision.path), current)
