"""The training pipeline, from a folder of images to a served and queried model."""

from typing import Any

from kfp import dsl

from components.deploy import deploy
from components.evaluate import evaluate as evaluate_step
from components.gate import gate as gate_step
from components.index import index as index_step
from components.record import record
from components.register import register
from components.smoke_test import smoke_test
from components.train import train as train_step
from components.version import version
from model.config import RunConfig
from pipelines.embedding import embedding
from pipelines.nodes import on_compute_node, on_import_node, on_node, on_training_node
from pipelines.tracing import pipeline

DEFAULTS = RunConfig()


@pipeline(name="glocal-training", description="Version the data, train, gate on evaluation, register, deploy, query.")
def training(
    source: str,
    name: str = "",
    data: dict[str, Any] = DEFAULTS.data.model_dump(),
    model: dict[str, Any] = DEFAULTS.model.model_dump(),
    train: dict[str, Any] = DEFAULTS.train.model_dump(mode="json"),
    index: dict[str, Any] = DEFAULTS.index.model_dump(),
    evaluate: dict[str, Any] = DEFAULTS.evaluate.model_dump(),
    gate: dict[str, Any] = DEFAULTS.gate.model_dump(),
    serve: dict[str, Any] = DEFAULTS.serve.model_dump(),
    why: str = "a training run",
    shards: list[int] = [],
) -> None:
    """The whole main job. The parameters are the sections of the configuration, and every one but the source has a default.

    1. version: import the folder, or resolve name@revision, to a pin.
    2. train: the heads, and the trunk if asked; settings and epochs are chosen on held-out classes.
    3. index: gallery, thresholds and golden queries; the release. Its images are embedded by a step `embed` for each of `shards`
       (0, 1, ..., as many as `index.shards`), or without these by itself.
    4. evaluate: the test classes, beside the untrained trunk; the report.
    5. gate: floors, budgets, and the champion on the same queries.
    6. register: a model version with its evidence, alias challenger. Only if the gate was passed, as all that follows.
    7. deploy: beside the old one, golden queries replayed, switched over, alias champion; only in place of the champion of 5.
       What needs an approval which it lacks is left alone: `glocal approve` lets it serve.
    8. smoke-test: the endpoint, asked from outside.

    However it ends, `record` closes the run's record.
    """
    sections = {"data": data, "model": model, "train": train, "index": index, "evaluate": evaluate, "gate": gate, "serve": serve}
    closing = on_node(record(source=source, name=name, **sections)).set_caching_options(False)
    with dsl.ExitHandler(closing, name="whole-run"):
        pinned = on_import_node(version(source=source, name=name, data=data))
        pinned.set_caching_options(False)  # the folder may have changed
        pin = pinned.output
        trained = on_training_node(train_step(pin=pin, model=model, train=train))
        checkpoint = trained.outputs["checkpoint"]
        embedded = embedding(pin=pin, checkpoint=checkpoint, index=index, shards=shards)
        indexed = on_compute_node(index_step(pin=pin, checkpoint=checkpoint, index=index).after(embedded))
        release = indexed.outputs["release"]
        evaluated = on_compute_node(
            evaluate_step(pin=pin, model=model, train=train, evaluate=evaluate, checkpoint=checkpoint, release=release)
        )
        report = evaluated.outputs["report"]
        gated = on_node(gate_step(pin=pin, gate=gate, serve=serve, release=release, report=report))
        gated.set_caching_options(False)  # the champion may have changed
        with dsl.If(gated.outputs["Output"] == True, name="passed"):  # noqa: E712  # builds a condition, compares nothing
            decision = gated.outputs["decision"]
            registered = on_node(register(serve=serve, release=release, report=report, decision=decision))
            registered.set_caching_options(False)  # the registry may have changed
            deployed = on_node(deploy(serve=serve, version=registered.output, release=release, decision=decision, why=why))
            deployed.set_caching_options(False)  # another version may serve now
            smoked = on_node(smoke_test(address=deployed.output, serve=serve, release=release))
            smoked.set_caching_options(False)
