"""The step of a promotion: a registered version behind the endpoint, alias champion."""

from kfp import dsl

from components.runtime.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote(model: str, version: str, why: str, replace_other_data: bool) -> str:
    """Fetch the version's release, deploy it beside the one that serves, replay the golden queries, switch over, move the alias.

    Reads:
        model: Name of the registered model; empty: the only one.
        version: The version, or an alias: challenger, previous.
        why: The reason, for the ledger.
        replace_other_data: Whether the champion may be of another data set.

    Returns:
        The endpoint's address.

    Fails when there is no such version, when it lacks an approval that it needs, when it was made from another data set than the
    champion, or when a golden query is answered otherwise than it must. The old release then serves on and no alias moves.
    """
    from components.runtime.reporting import record_deployed
    from components.runtime.step import step
    from serving.promotion import promote as make_it_serve
    from serving.registry.models import Registry, choose_model

    with step("promote") as current:
        environment = current.environment
        name = choose_model(environment.mlflow_uri, model)
        done = make_it_serve(
            Registry(environment.mlflow_uri, name).resolve(version).version,
            home=environment.home,
            tracking_uri=environment.mlflow_uri,
            name=name,
            by=environment.user,
            why=why,
            replace_other_data=replace_other_data,
        )
        record_deployed(current, done)
        return done.address
