"""The promotion of a registered version as a pipeline, so that it can be started from Kubeflow's own page."""

from kfp import dsl

from components.promote import promote
from components.record import record
from pipelines.nodes import on_node
from pipelines.tracing import pipeline


@pipeline(name="glocal-promotion", description="Let a registered version serve: deploy, replay golden queries, switch over.")
def promotion(model: str = "", version: str = "challenger", why: str = "a promotion", replace_other_data: bool = False) -> None:
    """What `glocal promote` does, as one step; a rollback is the promotion of `previous`.

    However it ends, `record` closes the run's record.
    """
    closing = on_node(record()).set_caching_options(False)
    with dsl.ExitHandler(closing, name="whole-run"):
        promoted = on_node(promote(model=model, version=version, why=why, replace_other_data=replace_other_data))
        promoted.set_caching_options(False)  # another version may serve now
