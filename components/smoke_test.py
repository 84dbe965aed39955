"""Step 8: ask the endpoint what a user would."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def smoke_test(address: str, serve: dict[str, Any], release: dsl.Input[dsl.Model]) -> None:
    """Query the default version at the address with the golden images and compare release and answers.

    Reads:
        address: The endpoint; empty if nothing was deployed, and then nothing is asked.
        serve: The `serve` section of the configuration.
        release: Which release must answer, and its golden queries.

    Fails when the endpoint does not answer, or another release does.
    """
    from pathlib import Path

    from components.runtime.step import step
    from model.config import ServeConfig
    from serving.client import Client
    from serving.local import read_key
    from serving.promotion import smoke

    with step("smoke-test") as current:
        if not address:
            return
        client = Client(address, read_key(current.environment.home.serve))
        smoke(client, Path(release.path), ServeConfig(**serve))
        current.tags |= {"address": address}
