"""The pipeline in containers of this machine: KFP's own DockerRunner over the project's images, in a separate process.

    glocal run --runner docker  ->  python -m pipelines.runners.docker  ->  one container a step

GLOCAL_HOME is mounted at its own path, so events, artifacts and the cache of steps are those of the local runner. The steps run
beside the endpoint: in the network and among the processes of its container, which outlives the run.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.runtime.image import IMAGE, TRAIN_IMAGE
from components.runtime.revision import code_revision
from model.containers import Containers, Images
from model.environment import Environment
from model.errors import Conflict, InvalidInput
from model.scratch import scratch_folder
from pipelines.runners import container_engine
from pipelines.runners.group import end_with
from pipelines.runners.local import carry_out, run_apart
from pipelines.runners.port import Listener, PipelineRun, Work

_PASSED = ("GLOCAL_", "AWS_", "MLFLOW_", "OMP_", "MKL_", "OPENBLAS_")
"""Beginnings of the variables that containers get: places, secrets, and what sets the arithmetic."""
_HERE = ("GLOCAL_RUNNER", "GLOCAL_CONTAINER_", "GLOCAL_SERVER", "GLOCAL_GATEWAY_", "GLOCAL_DASHBOARD_")
"""Beginnings of those that count for this machine alone."""
_OF_THE_ENDPOINT = (
    "backend",
    "worker_memory_mb",
    "sample_share",
    "milvus_uri",
    "milvus_token",
    "milvus_token_file",
    "verifying_key",
    "sigstore_identity",
    "sigstore_issuer",
    "sigstore_trust",
)
"""Settings that the endpoint reads. Those that are files are mounted."""
_TEMPORARY = "size=256m,mode=1777"


def run_in_containers(work: Work, listener: Listener) -> PipelineRun:
    """Run a compiled pipeline, each step in a container.

    Raises:
        Unavailable: No container engine answers, or the endpoint does not come up.
        NotFound, Conflict: An image is missing, or holds other code than this process.
        InvalidInput: The containers would run as root.
    """
    settings, images = Containers(), Images()
    with container_engine.connected() as client:
        container_engine.remove_abandoned(client, work.environment.home)
        for image in {IMAGE, TRAIN_IMAGE, images.serve_image}:
            _check_code(image, container_engine.code_of(client, image))
        environment, common = work.environment, confined(settings)
        environment.home.artifacts.mkdir(parents=True, exist_ok=True)  # the engine would make it, for root
        endpoint = settings.container_endpoint or container_engine.ensure_endpoint(
            client, environment.home, settings, images.serve_image, common | of_endpoint(environment, settings)
        )
        with scratch_folder("steps") as temporary:
            variables = passed(os.environ) | work.variables | {"TMPDIR": str(temporary)}
            step = common | {"environment": variables}
            try:
                return run_apart(
                    "pipelines.runners.docker",
                    work,
                    listener,
                    {"TMPDIR": str(temporary)},
                    containers=step | beside(endpoint) | container_engine.of_run(work.folder),
                    writable=[str(folder) for folder in (environment.home.root, temporary, *written(environment))],
                    readable=[
                        str(folder) for folder in (*sources(work.arguments.values()), *settings.readable, *files(environment))
                    ],
                    gpus=settings.container_gpus,
                )
            finally:
                container_engine.remove_run(client, work.folder)


def confined(settings: Containers) -> dict[str, Any]:
    """What all containers of a run have in common: no rights, nothing that they may write but what is mounted, bounded memory.

    Raises:
        InvalidInput: They would run as root.
    """
    user = settings.container_user or f"{os.getuid()}:{os.getgid()}"
    if not settings.container_user and os.getuid() == 0:
        raise InvalidInput(
            "The steps would run as root in their containers.",
            "Start it as another user who may use the engine; for an engine without root: GLOCAL_CONTAINER_USER=0:0.",
        )
    return {
        "user": user,
        "read_only": True,
        "tmpfs": {"/tmp": _TEMPORARY},  # noqa: S108  # in the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": settings.container_memory,
        "shm_size": settings.container_shared_memory,
    }


def of_endpoint(environment: Environment, settings: Containers) -> dict[str, Any]:
    """The home and the settings that the endpoint's container gets: no credentials but the token for Milvus.

    The port is the same inside and outside, so that the address on record is right for both.
    """
    host, port = settings.published
    given = {name: value for name in _OF_THE_ENDPOINT if (value := getattr(environment, name))}
    own = {f"GLOCAL_{name.upper()}": str(value.absolute() if isinstance(value, Path) else value) for name, value in given.items()}
    files = [value.absolute() for value in given.values() if isinstance(value, Path)]
    return {
        "environment": own | {"GLOCAL_HOME": str(environment.home.root), "GLOCAL_GATEWAY_PORT": str(port)},
        "ports": {f"{port}/tcp": (host, port)},
        "mounts": [
            container_engine.bind(environment.home.root),
            *(container_engine.bind(file, read_only=True) for file in files),
        ],
    }


def beside(endpoint: str) -> dict[str, str]:
    """What puts a container into the network and among the processes of the endpoint's."""
    return {"network_mode": f"container:{endpoint}", "pid_mode": f"container:{endpoint}"}


def passed(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process that containers get."""
    return {name: value for name, value in variables.items() if name.startswith(_PASSED) and not name.startswith(_HERE)}


def sources(arguments: Iterable[Any]) -> list[Path]:
    """The files and folders that a pipeline's arguments name: what its data are imported from."""
    texts = (each for each in arguments if isinstance(each, str) and each.startswith("/"))
    return [path.parent if path.is_file() else path for path in map(Path, texts) if path.exists()]


def written(environment: Environment) -> list[Path]:
    """The folders outside the home that steps write to: the data remote, if it is a folder."""
    remote = environment.data_remote
    return [Path(remote).absolute()] if remote and "://" not in remote else []


def files(environment: Environment) -> list[Path]:
    """The files outside the home that settings name, such as keys."""
    named = (getattr(environment, name) for name in type(environment).model_fields)
    return [each.absolute() for each in named if isinstance(each, Path) and each.is_file()]


def _check_code(image: str, code: str) -> None:
    if code != code_revision():
        raise Conflict(
            f"{image} holds other code ({code or 'of no known revision'}) than this command.", "Build it anew: make images."
        )


def main() -> None:
    """Run the order on standard input, each step in a container."""
    lock = Path(sys.argv[1])
    end_with(lock, before=partial(container_engine.remove_run_of, lock.parent))  # before the slow imports
    from kfp import local

    order = json.load(sys.stdin)
    mounts = [container_engine.bind(Path(each)) for each in order["writable"]]
    mounts += [container_engine.bind(Path(each), read_only=True) for each in order["readable"]]
    signals = container_engine.watch_containers({TRAIN_IMAGE: container_engine.gpus(order["gpus"])})
    carry_out(order, local.DockerRunner(mounts=mounts, **order["containers"]), signals)


if __name__ == "__main__":
    main()
