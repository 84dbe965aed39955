"""The pipeline that repeats the training of a registered version. Nothing is registered."""

from typing import Any

from kfp import dsl

from components.compare import compare
from components.evaluate import evaluate as evaluate_step
from components.index import index as index_step
from components.record import record
from components.train import train as train_step
from pipelines.nodes import on_compute_node, on_node, on_training_node
from pipelines.tracing import pipeline


@pipeline(name="glocal-reproduction", description="Train a registered version again, and compare figures and embeddings.")
def reproduction(
    name: str,
    version: str,
    pin: dict[str, Any],
    work: str,
    model: dict[str, Any],
    train: dict[str, Any],
    index: dict[str, Any],
    evaluate: dict[str, Any],
) -> None:
    """The steps of the training pipeline up to its report, on the data and settings of version `version` of the model `name`.

    Their reusable files lie in a folder `work` of their own. `glocal reproduce` fills all parameters in.

    1. train: computes feature maps and trains from the init; a killed reproduction goes on where it was.
    2. index: the release.
    3. evaluate: the report.
    4. compare: figures and embeddings with those of the version; whether they agree.

    No step is taken from the cache: the version's own would be compared with itself. However it ends, `record` closes the run's
    record.
    """
    closing = on_node(record()).set_caching_options(False)
    with dsl.ExitHandler(closing, name="whole-run"):
        trained = on_training_node(train_step(pin=pin, model=model, train=train, work=work)).set_caching_options(False)
        checkpoint = trained.outputs["checkpoint"]
        indexed = on_compute_node(index_step(pin=pin, checkpoint=checkpoint, index=index, work=work)).set_caching_options(False)
        release = indexed.outputs["release"]
        evaluated = on_compute_node(
            evaluate_step(pin=pin, model=model, train=train, evaluate=evaluate, checkpoint=checkpoint, release=release, work=work)
        ).set_caching_options(False)
        compared = on_node(compare(model=name, version=version, work=work, release=release, report=evaluated.outputs["report"]))
        compared.set_caching_options(False)
