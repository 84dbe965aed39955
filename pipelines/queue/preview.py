"""What a training would do, before it is started: which steps the cache will skip."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import BoundedSemaphore, Lock

from components.runtime.revision import code_revision
from model.config import DataConfig, RunConfig, setting_texts
from model.data.importing.dataset_name import default_name, is_reference
from model.data.importing.other_source import SOURCE, stated_source
from model.data.versions.ownership import has_repository
from model.data.versions.pin import recorded, resolve
from model.environment import Environment
from model.errors import Conflict, Overloaded
from model.home import Home
from model.schemas.data_pin import DataPin
from model.schemas.run_record import RunRecord
from model.schemas.step_plan import RunPlan, StepPlan
from model.text import excerpt
from pipelines.runners.forecast import forecast
from pipelines.running import check_training, pipeline_arguments
from pipelines.step_reasons import ALWAYS, SECTIONS, STEPS, Inputs, last_training, why_not_cached

WAITING = 4
"""Plans of this process that are made or wait. One is made at a time: KFP takes a process and some seconds for it."""
_room, _turn = BoundedSemaphore(WAITING), Lock()


def preview(source: str, name: str, config: RunConfig, environment: Environment) -> RunPlan:
    """Which steps of a training will be taken from the cache, and which will run. Nothing is started or changed.

    It takes seconds, as KFP itself looks up the steps: see `pipelines.runners.forecast`. Whether the images of a folder, a CSV or
    a bucket have changed since their last import is not looked at; the plan holds if they have not.

    Args:
        source: A folder, a CSV, an `s3://` prefix or `name@revision`.
        name: Name of the data set; empty: after the source.
        config: The settings.
        environment: The home and the registry.

    Raises:
        InvalidInput, NotFound: There is no such source, or the revision is gone.
        Overloaded: As many plans are being made as may.
        Conflict: Kubeflow is to run it, and decides that itself.
    """
    if environment.runner == "kubeflow":
        raise Conflict("Kubeflow decides which steps are taken from its cache.", "The run's page shows them.")
    source = check_training(source, name, config)
    data = name or default_name(source)
    pin, new = _version(source, data, config.data, environment.home)
    cached: dict[str, float] = {}
    if pin:
        arguments = pipeline_arguments(source, name, config, "")
        with _own_turn():
            cached = forecast("training", arguments, {"version": {"Output": pin.to_json()}}, environment.home)
    last = _last(environment, data) if pin and any(step not in cached for step in SECTIONS) else None
    now, ran, steps = Inputs(setting_texts(config), pin, code_revision()), set[str](), list[StepPlan]()
    for step in STEPS:
        if step in cached:
            moment = datetime.fromtimestamp(cached[step]).astimezone()
            why = f"Its result for these data and settings, of {moment:%Y-%m-%d %H:%M}, is taken."
        else:
            why = ALWAYS.get(step) or new or why_not_cached(step, now, last, ran)
            ran.add(step)
        steps.append(StepPlan(step=step, will="cached" if step in cached else "runs", why=why))
    assumes = f"{source} has not changed since it was imported as {pin.named}" if pin and not is_reference(source) else ""
    return RunPlan(steps=tuple(steps), assumes=assumes)


@contextmanager
def _own_turn() -> Iterator[None]:
    if not _room.acquire(blocking=False):
        raise Overloaded("Several plans are being made already.", "Ask again in a moment.")
    try:
        with _turn:
            yield
    finally:
        _room.release()


def _version(source: str, data: str, config: DataConfig, home: Home) -> tuple[DataPin | None, str]:
    """The version of the data that a run would have if its source has not changed; else None, and why there will be a new one."""
    if is_reference(source):
        return resolve(home.data, source), ""
    known = recorded(home.data, data) if has_repository(home.data) else None
    if known is None:
        return None, "These data were not imported before."
    pin, record = known
    if record.get(SOURCE, stated := stated_source(source, None)) != stated:
        return None, f"The data set {data} was imported from {excerpt(str(record[SOURCE]))} before."
    asked = {name: value for name, value in config.model_dump().items() if name != "licence" or value}
    if any(record.get("options", {}).get(name) != value for name, value in asked.items()):
        return None, f"The settings of the import are not those of {pin.named}."
    return pin, ""


def _last(environment: Environment, data: str) -> RunRecord | None:
    """The last training of the data."""
    from serving.registry.runs import Runs  # MLflow, which a plan without a question does not wait for
    from serving.registry.store import refuse_lost_records

    refuse_lost_records(environment.mlflow_uri, environment.home)
    return last_training(Runs(environment.mlflow_uri), data)
