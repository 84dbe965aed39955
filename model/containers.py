"""Settings of the project's images and of the containers that they run in, read from `GLOCAL_*` variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SIZE = r"^\d+[bkmg]?$"
"""Pattern of a container engine's amounts of memory, such as `8g`."""
Size = Annotated[str, Field(pattern=SIZE)]


class Images(BaseSettings):
    """The project's images. The first two stand in every compiled pipeline."""

    model_config = SettingsConfigDict(env_prefix="GLOCAL_", extra="ignore", frozen=True)

    image: str = Field(
        "glocal/pipeline:0.1.0", min_length=1, description="Image of the steps; counts when a pipeline is compiled"
    )
    train_image: str = Field(
        "glocal/train:0.1.0",
        min_length=1,
        description="Image of the step train, with all of CUDA; without a GPU, that of the other steps does as well",
    )
    serve_image: str = Field("glocal/serve:0.1.0", min_length=1, description="Image of the endpoint")


class Containers(BaseSettings):
    """The containers that `--runner docker` starts on this machine."""

    model_config = SettingsConfigDict(env_prefix="GLOCAL_", extra="ignore", frozen=True)

    container_user: str = Field(
        "",
        pattern=r"^(\d+:\d+)?$",
        description="User and group, as `1000:1000`, that owns GLOCAL_HOME; empty: who starts the run",
    )
    container_endpoint: str = Field(
        "",
        description="Container of the endpoint, beside whose processes the steps run; empty: one of this home, which is started",
    )
    container_publish: str = Field(
        "127.0.0.1:8080", pattern=r"^[\d.]+:\d+$", description="Address of this machine at which that endpoint is reached"
    )
    container_network: str = Field("bridge", min_length=1, description="The engine's network that it and the steps are in")
    container_memory: Size = Field("8g", description="Memory of a step's container, and of the endpoint's")
    container_shared_memory: Size = Field("1g", description="Size of a step's `/dev/shm`, part of its memory")
    container_gpus: str = Field(
        "",
        pattern=r"^(all|\d+)?$",
        description="GPUs of the step train: `all` or a number; empty: none",
    )
    container_mounts: str = Field(
        "",
        description="Folders outside GLOCAL_HOME that the steps may read, with commas, beside the one that a run is started on",
    )

    @property
    def published(self) -> tuple[str, int]:
        """Host and port of `container_publish`."""
        host, _, port = self.container_publish.partition(":")
        return host, int(port)

    @property
    def readable(self) -> tuple[Path, ...]:
        """The folders of `container_mounts`."""
        return tuple(Path(each.strip()).expanduser().absolute() for each in self.container_mounts.split(",") if each.strip())
