"""The pipelines that change the gallery of a served model, without training: enrolment adds images, removal takes some out."""

from typing import Any

from kfp import dsl

from components.deploy import deploy
from components.enrol import enrol
from components.gate_gallery import gate_gallery
from components.record import record
from components.register_gallery import register_gallery
from components.remove import remove
from components.smoke_test import smoke_test
from components.version import version
from model.config import DataConfig, GateConfig, ServeConfig
from pipelines.nodes import on_compute_node, on_import_node, on_node
from pipelines.tracing import pipeline

DATA = DataConfig(split="gallery").model_dump()
GATE, SERVE = GateConfig().model_dump(), ServeConfig().model_dump()


def _anew(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """No step is taken from the cache: folder, champion and registry may have changed."""
    return task.set_caching_options(False)


def _replaces_champion(release: Any, base: Any, gate: Any, serve: Any, why: Any) -> None:
    """The steps from the gate on, which both pipelines have; shown under the names that they have in a training."""
    gated = _anew(on_node(gate_gallery(base=base, gate=gate, release=release))).set_display_name("gate")
    with dsl.If(gated.outputs["Output"] == True, name="passed"):  # noqa: E712  # builds a condition
        decision = gated.outputs["decision"]
        registered = _anew(on_node(register_gallery(base=base, release=release, decision=decision))).set_display_name("register")
        deployed = _anew(on_node(deploy(serve=serve, version=registered.output, release=release, decision=decision, why=why)))
        _anew(on_node(smoke_test(address=deployed.output, serve=serve, release=release)))


@pipeline(name="glocal-enrolment", description="Version images, enrol them, gate, register, deploy, query.")
def enrolment(
    source: str,
    base: dict[str, Any],
    replace: bool = False,
    name: str = "",
    data: dict[str, Any] = DATA,
    gate: dict[str, Any] = GATE,
    serve: dict[str, Any] = SERVE,
    why: str = "an enrolment",
) -> None:
    """Images of new objects, or more images of known ones, into the gallery of the version that `base` names.

    1. version: import the folder, or resolve name@revision, to a pin.
    2. enrol: embed the images; a release of the same embedding space. What follows only if one is new.
    3. gate: the space, the champion's golden queries, and what its thresholds state.
    4. register: a model version, alias challenger. Only if the gate was passed, as all that follows.
    5. deploy: beside the old one, golden queries replayed, switched over, alias champion; only in place of `base.champion`.
    6. smoke-test: the endpoint, asked from outside.

    However it ends, `record` closes the run's record.
    """
    closing = on_node(record()).set_caching_options(False)
    with dsl.ExitHandler(closing, name="whole-run"):
        pinned = _anew(on_import_node(version(source=source, name=name, data=data)))
        enrolled = _anew(on_compute_node(enrol(pin=pinned.output, base=base, replace=replace)))
        with dsl.If(enrolled.outputs["Output"] == True, name="changed"):  # noqa: E712  # builds a condition
            _replaces_champion(enrolled.outputs["release"], base, gate, serve, why)


@pipeline(name="glocal-removal", description="Remove entries of a gallery, gate, register, deploy, query.")
def removal(
    base: dict[str, Any],
    labels: list[str] = [],
    ids: list[str] = [],
    gate: dict[str, Any] = GATE,
    serve: dict[str, Any] = SERVE,
    why: str = "a removal",
) -> None:
    """Labels, or single images, out of the gallery of a version: `remove`, then steps 3 to 6 of the enrolment."""
    closing = on_node(record()).set_caching_options(False)
    with dsl.ExitHandler(closing, name="whole-run"):
        removed = _anew(on_node(remove(labels=labels, ids=ids, base=base)))
        _replaces_champion(removed.outputs["release"], base, gate, serve, why)
