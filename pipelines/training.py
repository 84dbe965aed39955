"""The training pipeline, from a folder of images to a served and queried model."""

from kfp import dsl

from components.deploy import deploy
from components.evaluate import evaluate
from components.gate import gate
from components.index import index
from components.record import record
from components.register import register
from components.smoke_test import smoke_test
from components.train import train
from components.version import version
from model.config import RunConfig
from pipelines.nodes import on_gpu, on_node

DEFAULTS = RunConfig()


@dsl.pipeline(name="glocal-training", description="Version the data, train, gate on evaluation, register, deploy, query.")
def training(
    source: str,
    name: str,
    data: dict = DEFAULTS.data.model_dump(),  # type: ignore[type-arg]
    model: dict = DEFAULTS.model.model_dump(),  # type: ignore[type-arg]
    training: dict = DEFAULTS.train.model_dump(),  # type: ignore[type-arg]
    evaluation: dict = DEFAULTS.evaluate.model_dump(),  # type: ignore[type-arg]
    gating: dict = DEFAULTS.gate.model_dump(),  # type: ignore[type-arg]
    serving: dict = DEFAULTS.serve.model_dump(),  # type: ignore[type-arg]
    served_name: str = DEFAULTS.serve.name,
    golden_queries: int = DEFAULTS.serve.golden_queries,
    why: str = "a training run",
) -> None:
    """The whole main job.

    1. version: import the folder, or resolve name@revision, to a pin.
    2. train: the heads, and the trunk if asked; the best epoch on the validation classes.
    3. index: gallery, thresholds and golden queries; the release.
    4. evaluate: the test classes, beside the untrained trunk; the report.
    5. gate: floors, budgets, and the champion on the same queries.
    6. register: a model version with its evidence, alias challenger. Only if the gate was passed, as all that follows.
    7. deploy: beside the old one, golden queries replayed, switched over, alias champion.
    8. smoke-test: the endpoint, asked from outside.

    However it ends, `record` closes the run's record.
    """
    closing = on_node(record()).set_caching_options(False)
    with dsl.ExitHandler(closing, name="whole-run"):
        pinned = on_node(version(source=source, name=name, settings=data), minutes=240)
        pinned.set_caching_options(False)  # the folder may have changed
        pin = pinned.output
        trained = on_gpu(train(pin=pin, model=model, settings=training))
        checkpoint = trained.outputs["checkpoint"]
        indexed = on_gpu(index(pin=pin, checkpoint=checkpoint, golden_queries=golden_queries))
        release = indexed.outputs["release"]
        evaluated = on_gpu(
            evaluate(pin=pin, model=model, training=training, settings=evaluation, checkpoint=checkpoint, release=release)
        )
        report = evaluated.outputs["report"]
        judged = on_node(gate(pin=pin, settings=gating, serving=serving, name=served_name, release=release, report=report))
        judged.set_caching_options(False)  # the champion may have changed
        with dsl.If(judged.outputs["Output"] == True, name="passed"):  # noqa: E712  # builds a condition, compares nothing
            decision = judged.outputs["decision"]
            registered = on_node(register(name=served_name, release=release, report=report, decision=decision))
            registered.set_caching_options(False)  # the registry may have changed
            deployed = on_node(deploy(settings=serving, version=registered.output, release=release, why=why))
            deployed.set_caching_options(False)  # what serves may have changed
            smoked = on_node(smoke_test(address=deployed.output, name=served_name, version=registered.output, release=release))
            smoked.set_caching_options(False)
