"""Step 8: ask the endpoint what a user would."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def smoke_test(address: str, name: str, version: str, release: dsl.Input[dsl.Model]) -> None:
    """Query the default version at the address with a golden image and compare release and answer.

    Reads:
        address, name: The endpoint and the served model.
        version: Which version must answer.
        release: Whose golden queries are asked.

    Fails when the endpoint does not answer, or another release does.
    """
    from pathlib import Path

    from components.releasing import smoke
    from components.runtime.step import step

    with step("smoke-test") as current:
        smoke(address, name, version, Path(release.path), current)
