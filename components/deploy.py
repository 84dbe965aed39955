"""Step 7: the release behind the endpoint, alias champion."""

from typing import Any

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(
    serve: dict[str, Any], version: str, release: dsl.Input[dsl.Model], decision: dsl.Input[dsl.Artifact], why: str
) -> str:
    """Register the archive beside the old one, replay the golden queries, switch over, move the alias.

    A version that lacks an approval which it needs is left alone: KFP's local runner has no condition on one of several results.

    Reads:
        serve: The `serve` section of the configuration.
        version: The registered version of `release`.
        release: The release folder.
        decision: What the gate wrote. The champion that it compared with must still be champion.
        why: The reason, for the ledger.

    Returns:
        The endpoint's address; empty if the version awaits approval.

    Fails when a golden query is answered otherwise than it must, or another version became champion; the old release then serves
    on and no alias moves.
    """
    from pathlib import Path

    from components.runtime.reporting import record_approval, record_deployed
    from components.runtime.step import step
    from model.config import ServeConfig, served_name
    from model.schemas.decision import DECISION, Decision
    from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
    from serving.promotion import promote_release

    with step("deploy") as current:
        environment, config = current.environment, ServeConfig(**serve)
        name = served_name(config, ReleaseManifest.load(Path(release.path) / RELEASE_MANIFEST).data.path)
        if not record_approval(current, name, version):
            return ""
        done = promote_release(
            Path(release.path),
            version,
            config,
            home=environment.home,
            tracking_uri=environment.mlflow_uri,
            by=environment.user,
            why=why,
            instead_of=Decision.load(Path(decision.path) / DECISION).replaces,
        )
        record_deployed(current, done)
        return done.address
