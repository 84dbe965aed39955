"""Step 7: the release behind the endpoint, alias champion."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(settings: dict, version: str, release: dsl.Input[dsl.Model], why: str) -> str:  # type: ignore[type-arg]
    """Register the archive beside the old one, replay the golden queries, switch over, move the alias.

    Reads:
        settings: The `serve` section of the configuration.
        version: The registered version of `release`.
        why: The reason, for the ledger.

    Returns:
        The endpoint's address.

    Fails when a golden query is answered otherwise than it must; the old release then serves on and no alias moves.
    """
    from pathlib import Path

    from components.releasing import deploy_release
    from components.runtime.step import step

    with step("deploy") as current:
        return deploy_release(settings, version, Path(release.path), why, current)
