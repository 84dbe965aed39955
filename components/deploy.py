"""Step 7: the release behind the endpoint, alias champion."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(
    serve: dict[str, Any], version: str, release: dsl.Input[dsl.Model], decision: dsl.Input[dsl.Artifact], why: str
) -> str:
    """Register the archive beside the old one, replay the golden queries, switch over, move the alias.

    Reads:
        serve: The `serve` section of the configuration.
        version: The registered version of `release`.
        release: The release folder.
        decision: What the gate wrote. The champion that it compared with must still be champion.
        why: The reason, for the ledger.

    Returns:
        The endpoint's address.

    Fails when a golden query is answered otherwise than it must, or another version became champion; the old release then serves
    on and no alias moves.
    """
    from pathlib import Path

    from components.runtime.record import run_evidence
    from components.runtime.step import step
    from model.config import ServeConfig
    from model.schemas.decision import DECISION, Decision
    from serving.promotion import promote_release

    with step("deploy") as current:
        environment = current.environment
        done = promote_release(
            Path(release.path),
            version,
            ServeConfig(**serve),
            home=environment.home,
            tracking_uri=environment.mlflow_uri,
            by=environment.user,
            why=why,
            instead_of=Decision.load(Path(decision.path) / DECISION).replaces,
        )
        tags = {"model": done.name, "model_version": done.version, "address": done.address}
        current.tags |= tags
        run_evidence(environment, {}, tags, {})
        return done.address
