"""The container engine of this machine: its images, the containers of a run, and that of the endpoint."""

import codecs
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import httpx
from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound
from docker.errors import NotFound as NoContainer
from docker.models.containers import Container
from docker.types import DeviceRequest, Mount

from model.containers import Containers
from model.errors import NotFound, Unavailable
from model.home import ALIVE, Home
from model.locks import is_held
from model.signals import signal_of
from serving.processes import wait_until
from serving.protocol import local_address

VERSION = "org.opencontainers.image.version"
"""Label of an image with the revision of its code."""
RUN = "io.glocal.run"
"""Label of the containers of a run, with its folder."""
_GRACE_S = 5
_START_S = 120.0
_STOP_S = 30


@contextmanager
def connected() -> Iterator[DockerClient]:
    """A client of the engine, for the block.

    Raises:
        Unavailable: It does not answer.
    """
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise Unavailable("No container engine answers.", "Start it, or let this user use it; docker info says which.") from error
    with contextlib.closing(client):
        yield client


def code_of(client: DockerClient, image: str) -> str:
    """Revision of the code in an image; empty if it has no such label.

    Raises:
        NotFound: There is no such image on this machine.
    """
    try:
        return str(client.images.get(image).labels.get(VERSION, ""))
    except ImageNotFound as error:
        raise NotFound(f"There is no image {image} on this machine.", "Build it (make images), or pull it.") from error


def bind(path: Path, *, read_only: bool = False) -> Mount:
    """A file or folder of this machine, at its own path in a container."""
    return Mount(str(path), str(path), type="bind", read_only=read_only)


def gpus(wanted: str) -> list[DeviceRequest]:
    """What a container asks for: `all` GPUs or a number of them; nothing if `wanted` is empty."""
    count = -1 if wanted == "all" else int(wanted or 0)
    return [DeviceRequest(count=count, capabilities=[["gpu"]])] if count else []


def of_run(folder: Path) -> dict[str, dict[str, str]]:
    """What marks a container as one of the run in `folder`."""
    return {"labels": {RUN: str(folder)}}


def remove_run(client: DockerClient, folder: Path) -> None:
    """End and remove the containers of a run. A training gets seconds to write a checkpoint."""
    for container in client.containers.list(all=True, filters={"label": f"{RUN}={folder}"}, ignore_removed=True):
        with contextlib.suppress(APIError):
            container.stop(timeout=_GRACE_S)
        _remove(container)


def remove_abandoned(client: DockerClient, home: Home) -> None:
    """End and remove the containers of runs of a home that were killed together with what watched them."""
    for container in client.containers.list(all=True, filters={"label": RUN}, ignore_removed=True):
        folder = Path(container.labels[RUN])
        if folder.is_relative_to(home.runs) and not is_held(folder / ALIVE):
            remove_run(client, folder)


def remove_run_of(folder: Path) -> None:
    """`remove_run` in a process without a client."""
    with connected() as client:
        remove_run(client, folder)


def ensure_endpoint(client: DockerClient, home: Home, settings: Containers, image: str, arguments: Mapping[str, Any]) -> str:
    """The container of a home's endpoint, which is started if it does not run, or runs another image.

    Args:
        client: The engine.
        home: GLOCAL_HOME.
        settings: Its address and network.
        image: Image of the endpoint.
        arguments: What else the container is started with.

    Returns:
        Its name.

    Raises:
        Unavailable: It does not come up.
    """
    name = endpoint_name(home)
    with contextlib.suppress(NoContainer):
        found = client.containers.get(name)
        if found.status == "running" and found.attrs["Image"] == client.images.get(image).id:
            return name
        with contextlib.suppress(APIError):
            found.stop(timeout=_STOP_S)
        _remove(found)
    try:
        started = client.containers.run(
            image,
            name=name,
            hostname=name,
            detach=True,
            network=settings.container_network,
            restart_policy={"Name": "unless-stopped"},
            **arguments,
        )
    except APIError as error:
        raise Unavailable("The endpoint's container cannot be started.", str(error.explanation)) from error
    host, port = settings.published
    address = f"{local_address(port, host)}/healthz"
    if not wait_until(lambda: _answers(address) or _ended(started), deadline_s=_START_S) or _ended(started):
        raise Unavailable("The endpoint's container does not answer.", f"docker logs {name} says why.")
    return name


def endpoint_name(home: Home) -> str:
    """Name of the container of a home's endpoint."""
    return f"glocal-endpoint-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"


def watch_containers(devices: Mapping[str, list[DeviceRequest]]) -> list[int]:
    """Make KFP's runner of containers in this process use `_run_container`.

    Args:
        devices: What the containers of an image ask for beside.

    Returns:
        The signals that end steps from now on; the list grows with each of them.
    """
    from kfp.local import docker_task_handler as handler

    signals: list[int] = []

    def run_and_note(client: DockerClient, image: str, command: list[str], volumes: dict[str, Any], **more: Any) -> int:
        code = _run_container(client, image, command, volumes=volumes, device_requests=devices.get(image, []), **more)
        if number := signal_of(code):
            signals.append(number)
        return code

    handler.run_docker_container = run_and_note
    return signals


def _run_container(client: DockerClient, image: str, command: list[str], **arguments: Any) -> int:
    """Run a container to its end, print what it prints, and return its exit code.

    KFP's own function lets the engine remove the container, and takes one that is gone before it was asked for a success.
    It reads the engine's log, which may lack what a container printed that ended at once. Here the output is attached before
    the start.
    """
    container = client.containers.create(image, command, **arguments)
    try:
        output = container.attach(stream=True)
        container.start()
        for text in codecs.iterdecode(output, "utf-8", errors="replace"):
            print(text, end="")
        return int(container.wait()["StatusCode"])
    finally:
        _remove(container)


def _answers(address: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address, timeout=2, trust_env=False).is_success
    return False


def _ended(container: Container) -> bool:
    container.reload()
    return bool(container.status != "running" or container.attrs["RestartCount"])


def _remove(container: Container) -> None:
    with contextlib.suppress(APIError):
        container.remove(force=True)
