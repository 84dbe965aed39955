"""The services that the dashboard stands on, and how each is looked at. Nothing is changed. A look may hang: see `monitor`.

A check returns what it found, or raises a `GlocalError` that says what is wrong and what to do.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from model.cluster import Kubeflow
from model.disk import check_writable, full_place, no_room
from model.environment import Environment
from model.errors import StorageFailed, Unavailable
from model.redaction import without_credentials
from model.text import counted

_ASK_S = 2.0


@dataclass(frozen=True)
class Part:
    """A part of a service, such as a served model.

    Attributes:
        name: Its name.
        up: Whether it does its work.
        said: Its state in words.
    """

    name: str
    up: bool
    said: str


@dataclass(frozen=True)
class Found:
    """What a look at a service found that is not broken.

    Attributes:
        state: `up`, or `off`: it was not started or is not used, which is no fault.
        said: Its state in words.
        hint: What could be done.
        parts: Its parts.
    """

    state: Literal["up", "off"]
    said: str
    hint: str = ""
    parts: tuple[Part, ...] = ()


Check = Callable[[Environment], Found]


def look_at_endpoint(environment: Environment) -> Found:
    """The gateway, the server of models behind it, and the workers of each model."""
    from serving import server
    from serving.rollout.deployed import readable_deployed

    home = environment.home
    status, recorded = server.status(home), readable_deployed(home.serve.deployed)
    if not status.running and status.gateway_pid is None:
        if recorded:
            said = (
                f"The endpoint does not run, and {counted(len(recorded), 'model')} should serve: {', '.join(sorted(recorded))}."
            )
            raise Unavailable(said, "Start it: glocal serve start.")
        return Found("off", "Nothing was deployed here yet.", "A run deploys what passes its gate.")
    if status.fault is not None:
        raise status.fault
    parts = [
        Part("Gateway", status.gateway_pid is not None, f"process {status.gateway_pid}, {status.address}"),
        Part(f"Server of models ({status.backend})", status.healthy, f"{status.memory_mb:.0f} MiB with its workers"),
    ]
    for name, model in sorted(status.models.items()):
        for version in model.versions:
            serves = "serves" if version.version == model.default else "is loaded"
            waiting = f", {counted(version.waiting, 'block')} waiting" if version.waiting else ""
            said = f"{serves}; {version.ready} of {counted(len(version.workers), 'worker')} ready{waiting}"
            parts.append(Part(f"{name} version {version.version}", version.ready > 0, said))
    return Found("up", f"{counted(len(status.models), 'model')} at {status.address}", parts=tuple(parts))


def look_at_registry(environment: Environment) -> Found:
    """MLflow's database, or its server."""
    from serving.registry.database import check_database
    from serving.registry.store import refuse_lost_records, sqlite_file

    address = environment.mlflow_uri
    if (file := sqlite_file(address)) is not None:
        refuse_lost_records(address, environment.home)
        if not file.exists():
            return Found("off", "There are no records yet.", "The first run makes the database.")
        check_database(file)
        return Found("up", f"The database {file}")
    shown = without_credentials(address)
    if address.startswith(("http://", "https://")):
        _ask(f"{address.rstrip('/')}/health", f"MLflow's server at {shown}", "Start it again, or see its log.")
        return Found("up", f"The server at {shown}")
    from serving.registry.store import open_client

    open_client(address)
    return Found("up", f"The database at {shown}")


def look_at_remote(environment: Environment) -> Found:
    """Where versions of data are pushed: a folder, or a bucket."""
    from model.data.importing.object_store import SCHEMES, check_reachable
    from model.data.versions.pin import dataset_names

    address, store = environment.data_remote, environment.home.data
    if address.startswith(SCHEMES):
        check_reachable(address, timeout_s=_ASK_S)
        return Found("up", without_credentials(address))
    folder = Path(address).expanduser() if address else store.remote
    if not folder.is_dir():
        if not address and not dataset_names(store):
            return Found("off", "Nothing was imported here yet.", "The first import makes it.")
        raise StorageFailed(f"The folder {folder} is missing.", "Mount or restore it, or nothing can be imported.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageFailed(f"The folder {folder} cannot be written to.", "Change its permissions, or nothing can be imported.")
    return Found("up", f"The folder {folder}")


def look_at_pipelines(environment: Environment) -> Found:
    """Kubeflow Pipelines, if its address is set; runs are executed on this machine otherwise."""
    address = Kubeflow().address
    if not address:
        return Found("off", "Runs are executed on this machine.", "GLOCAL_KUBEFLOW_HOST would name Kubeflow Pipelines.")
    shown = without_credentials(address)
    base = address if "://" in address else f"http://{address}"
    _ask(f"{base.rstrip('/')}/apis/v2beta1/healthz", f"Kubeflow Pipelines at {shown}", "See its deployment ml-pipeline.")
    return Found("up", f"The server at {shown}")


def look_at_queue(environment: Environment) -> Found:
    """The process that executes queued runs."""
    from pipelines.queue.orders import orders
    from pipelines.queue.worker import find_worker

    home = environment.home
    if not home.queue.root.exists():
        return Found("off", "Nothing was queued here yet.", "Ordering a run starts its worker.")
    states = [each.state for each in orders(environment, limit=1)]
    queued, running = states.count("queued"), states.count("running")
    said = f"{counted(running, 'run')} under way, {queued} waiting"
    worker = find_worker(home)
    if worker is None and (queued or running):
        raise Unavailable(f"No worker executes the queue: {said}.", f"The next order starts it. Its log: {home.queue.log}")
    if worker is None:
        return Found("off", "No worker runs, and nothing is queued.", "Ordering a run starts it.")
    return Found("up", f"{said} (process {worker.pid})")


def look_at_disk(environment: Environment) -> Found:
    """The disk of the home: whether it takes anything, which most of what people ask for needs."""
    root = environment.home.root
    if not root.exists():
        return Found("off", "The home is not made yet.", "The first run, or the first import, makes it.")
    if full_place(root):
        raise no_room(root)
    check_writable(root)
    return Found("up", f"The home {root} can be written to")


CHECKS: dict[str, tuple[str, Check]] = {
    "disk": ("Disk", look_at_disk),
    "endpoint": ("Endpoint", look_at_endpoint),
    "mlflow": ("MLflow", look_at_registry),
    "remote": ("Data remote", look_at_remote),
    "queue": ("Queue of runs", look_at_queue),
    "kfp": ("Kubeflow Pipelines", look_at_pipelines),
}
"""The checks by key, each with the service's name."""


def _ask(address: str, what: str, hint: str) -> None:
    """Ask an address whether it is well.

    Raises:
        Unavailable: It does not answer, or not well.
    """
    try:
        answer = httpx.get(address, timeout=_ASK_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{what} does not answer.", hint) from error
    if not answer.is_success:
        raise Unavailable(f"{what} answered {answer.status_code}.", hint)
