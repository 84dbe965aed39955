"""Runs that change the gallery of a served model: the pipelines of `pipelines.enrolment`, started on this machine."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from model.claim import claim
from model.config import RunConfig, load_config
from model.environment import Environment
from model.nested import flattened
from model.schemas.gallery import GalleryBase
from model.schemas.run_event import RunEvent
from model.schemas.run_result import RunResult
from model.scratch import scratch_folder
from model.text import excerpt
from pipelines.enrolled_images import Images, check_enrolled, enrolled_name, write_enrolled
from pipelines.provenance import gallery_run_name
from pipelines.runners.port import Listener
from pipelines.running import RunSpec, run_pipeline
from pipelines.sources import locate_for
from serving.galleries import choose_base, serve_config
from serving.reconcile import reconcile
from serving.registry.store import refuse_lost_records


def base_to_change(environment: Environment, name: str, version: str = "", *, listener: Listener) -> GalleryBase:
    """`choose_base` of a version whose gallery is to be changed, after the records of killed deployments were put right.

    Args:
        environment: The home and the registry.
        name: Name of the registered model; empty: the only one that has a champion.
        version: The version; empty: the champion.
        listener: Called with a warning for each difference that was found.
    """
    for difference in reconcile(environment.home, environment.mlflow_uri, deploy=False, lock_wait_s=0):
        listener(RunEvent(step="run", event="warning", text=str(difference)))
    return choose_base(environment.mlflow_uri, name, version)


def run_enrolment(
    source: str,
    base: GalleryBase,
    config: RunConfig,
    *,
    replace: bool,
    name: str = "",
    environment: Environment,
    listener: Listener,
    why: str,
) -> RunResult:
    """Add images to the gallery of a version, or make its gallery of them alone.

    Args:
        source: A folder, a CSV, an `s3://` prefix or `name@revision`.
        base: The version, and the champion that the result is to replace.
        config: The settings, of which those of `data` and `gate` count.
        replace: Whether the gallery is made of these images alone.
        name: Name of the data set; empty: after the source.
        environment: The home, the registry and the user.
        listener: Called with every event.
        why: The reason, recorded with the promotion.

    Raises:
        InvalidInput: There is no such source where the run is executed. Nothing was started.
        StorageFailed: The registry's database is lost or damaged. Nothing was started.
    """
    source = locate_for(environment.runner, source)
    arguments = {"source": source, "name": name, "replace": replace, "data": gallery_data(config).model_dump(mode="json")}
    command = "glocal gallery build" if replace else "glocal gallery add"
    return _run("enrolment", command, arguments, base, config, environment=environment, listener=listener, why=why)


def enrol_images(images: Images, label: str, model: str, *, environment: Environment, listener: Listener, why: str) -> RunResult:
    """Add images that were sent to the gallery of a model, under one label; they are kept as a data set of the label's own.

    They lie on this machine, so that a run which a cluster would execute is executed here.

    Args:
        images: Names, for people, and encoded images.
        label: Label of all of them.
        model: Name of the registered model.
        environment: The home, the registry and the user.
        listener: Called with every event.
        why: The reason, recorded with the promotion.

    Raises:
        InvalidInput: As `check_enrolled`. Nothing was started.
    """
    label = check_enrolled(images, label)
    here = environment.run_by("local") if environment.runner == "kubeflow" else environment
    with scratch_folder("enrolled") as folder:
        write_enrolled(images, label, folder)
        return run_enrolment(
            str(folder),
            choose_base(environment.mlflow_uri, model),
            load_config(None, ()),
            replace=False,
            name=enrolled_name(label),
            environment=here,
            listener=listener,
            why=why,
        )


def run_removal(
    labels: Sequence[str],
    ids: Sequence[str],
    base: GalleryBase,
    config: RunConfig,
    *,
    environment: Environment,
    listener: Listener,
    why: str,
) -> RunResult:
    """Remove labels and single entries from the gallery of a version; see `run_enrolment` for the other arguments."""
    arguments = {"labels": list(labels), "ids": list(ids)}
    return _run("removal", "glocal gallery remove", arguments, base, config, environment=environment, listener=listener, why=why)


def gallery_data(config: RunConfig) -> Any:
    """The settings of an import whose images are searched and never trained on."""
    return config.data.model_copy(update={"split": "gallery"})


def _run(
    pipeline: str,
    command: str,
    arguments: dict[str, Any],
    base: GalleryBase,
    config: RunConfig,
    *,
    environment: Environment,
    listener: Listener,
    why: str,
) -> RunResult:
    claim(environment.home)
    refuse_lost_records(environment.mlflow_uri, environment.home)
    serve = serve_config(environment.home, environment.mlflow_uri, base.model)
    given = {
        **arguments,
        "base": base.model_dump(mode="json"),
        "gate": config.gate.model_dump(mode="json"),
        "serve": serve.model_dump(mode="json"),
    }
    spec = RunSpec(
        pipeline=pipeline,
        arguments={**given, "why": why},
        title=gallery_run_name(base, command, datetime.now()),
        params={key: excerpt("" if value is None else str(value)) for key, value in flattened(given)},
        command=command,
        why=why,
    )
    return run_pipeline(spec, environment=environment, listener=listener)
