"""Runs that repeat the training of a registered version: the pipeline of `pipelines.reproduction`, started on this machine."""

from datetime import datetime

from model.claim import claim
from model.config import RunConfig, setting_texts
from model.data.versions.fetch import fetch
from model.environment import Environment
from model.errors import NotFound
from model.home import Home
from model.locks import hold
from model.schemas.run_event import RunEvent
from model.schemas.run_result import RunResult
from pipelines.runners.port import Listener
from pipelines.running import RunSpec, run_pipeline
from serving.registry.store import refuse_lost_records
from serving.reproduction import Original, find_original, refuse_without_gpu

_SECTIONS = ("model", "train", "index", "evaluate")
_WORK = "reproductions"


def run_reproduction(name: str, version: str, *, environment: Environment, listener: Listener) -> RunResult:
    """Train a version again, on the same data with the same settings and seed, and compare figures and embeddings.

    Killed, the same call goes on after the last step on record. Nothing is registered.

    Args:
        name: Name of the registered model.
        version: The version; of one whose gallery was changed, the version that was trained is repeated.
        environment: The home, the registry and the user.
        listener: Called with every event.

    Raises:
        NotFound: There is no such version, its run or report is not on record, or its data are gone. Nothing was started.
        Conflict: It was trained on another kind of machine. Nothing was started.
        InvalidInput: This code has not all of its settings. Nothing was started.
        StorageFailed: The registry's database is lost or damaged. Nothing was started.
    """
    home, uri = environment.home, environment.mlflow_uri
    claim(home)
    refuse_lost_records(uri, home)
    original = find_original(uri, name, version)
    config = original.config
    refuse_without_gpu(original, gpu=_has_gpu())
    _fetch_data(original, home)
    work = f"{_WORK}/{original.version.release}"

    def wait() -> None:
        listener(RunEvent(step="run", event="warning", text=f"Another process repeats {original.version.label}; this one waits."))

    with hold(home.work / f"{work}.lock", waiting=wait):
        return run_pipeline(_spec(original, config, work), environment=environment, listener=listener)


def _has_gpu() -> bool:
    import torch  # which a version that is not on record does not wait for

    return torch.cuda.is_available()


def _fetch_data(original: Original, home: Home) -> None:
    """Fetch the data, without which no step can begin.

    Raises:
        NotFound: They are gone.
    """
    pin = original.report.data
    try:
        fetch(pin, home.data, home.datasets)
    except NotFound as error:
        raise NotFound(f"The data of {original.version.label}, {pin.named}, are gone: {error.headline}", error.hint) from error


def _spec(original: Original, config: RunConfig, work: str) -> RunSpec:
    version, pin = original.version, original.report.data
    sections = {name: section for name, section in config.model_dump(mode="json").items() if name in _SECTIONS}
    settings = {name: text for name, text in setting_texts(config).items() if name.partition(".")[0] in _SECTIONS}
    return RunSpec(
        pipeline="reproduction",
        arguments={"name": version.model, "version": version.version, "pin": pin.to_json(), "work": work, **sections},
        title=f"{version.label} again {datetime.now():%Y-%m-%d %H:%M}",
        params={"name": version.model, "version": version.version, "source": f"{pin.path}@{pin.rev}", **settings},
        command="glocal reproduce",
        why=f"{version.label} again",
    )
