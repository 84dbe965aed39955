"""Part of the training pipeline: the gallery is embedded in shards, each by a step of its own."""

from typing import Any

from kfp import dsl

from components.embed import embed
from pipelines.nodes import on_compute_node
from pipelines.tracing import pipeline


@pipeline(name="embedding", description="Embed the gallery in shards.")
def embedding(pin: dict[str, Any], checkpoint: dsl.Input[dsl.Model], index: dict[str, Any], shards: list[int]) -> None:
    """A step `embed` for each shard, as many at once as there are nodes; two on one machine. One that fails is tried again alone.

    Without shards nothing is run. It is a pipeline of its own because another step can follow a pipeline, but not a loop.
    """
    with dsl.ParallelFor(shards, name="shards") as shard:
        on_compute_node(embed(pin=pin, checkpoint=checkpoint, index=index, shard=shard))
