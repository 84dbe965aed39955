"""The status of the endpoint on this machine, with differences between its records."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from model.errors import GlocalError, StorageFailed, Unavailable
from model.schemas.challenge import ServedChallenger
from model.schemas.schema import Schema

_REPLACE = "glocal serve start replaces it."
_RESTORE = "glocal serve start brings back what can be."
_PUT_ON_RECORD = "glocal serve start brings back what was deployed, or says why it cannot."


class Worker(Schema):
    """One worker process."""

    id: str = Field(description="Id of the worker at the server")
    pid: int = Field(description="Id of the worker's process; not above 0 while it starts")
    status: str = Field(description="Status that the server reports, such as READY")


class ServedVersion(Schema):
    """One version of a served model at the server."""

    version: str = Field(description="Number of the version")
    workers: tuple[Worker, ...] = Field(description="Worker processes")
    waiting: int = Field(description="Number of requests that wait for a worker")

    @property
    def ready(self) -> int:
        """Number of workers that answer."""
        return sum(worker.status == "READY" for worker in self.workers)


class ServedModel(Schema):
    """One served model."""

    default: str | None = Field(description="Version that answers queries without a version; null if no record says")
    versions: tuple[ServedVersion, ...] = Field(description="All versions at the server")

    @property
    def ready(self) -> bool:
        """Whether a worker of the default version answers."""
        return any(version.version == self.default and version.ready for version in self.versions)


class Difference(Schema):
    """One difference between what serves, `deployed.json` and the alias `champion`."""

    model: str = Field(description="Name of the served model; empty if the server is concerned")
    found: str = Field(description="What served and what was on record")
    done: str = Field(description="What was done about it")
    remedy: str = Field("", description="What a person must do; empty if nothing is left to do")

    def __str__(self) -> str:
        """The difference in one line."""
        return f"{self.model + ': ' if self.model else ''}{self.found} {self.remedy} {self.done}".replace("  ", " ").strip()


class ServerStatus(Schema):
    """The endpoint on this machine.

    `state` is `stopped` (nothing was started), `deaf` (what was started does not answer), `empty` (no model serves), `partial` (a
    model that is on record does not serve) or `serving`.
    """

    running: bool = Field(description="Whether the server's process runs")
    state: Literal["stopped", "deaf", "empty", "partial", "serving"] = Field(description="State of the server")
    log: str = Field(description="Folder of the server's logs")
    home: str = Field("", description="GLOCAL_HOME that the server belongs to")
    healthy: bool = Field(False, description="Whether gateway and server answer")
    backend: str = Field("", description="Server of models that runs; if none runs, the one that the setting names")
    pid: int | None = Field(None, description="Id of the server's process; null if each version has its own")
    address: str = Field("", description="Address of the gateway")
    gateway_pid: int | None = Field(None, description="Id of the gateway's process; null if it does not answer")
    memory_mb: float = Field(0.0, description="Memory of the server and its workers")
    models: dict[str, ServedModel] = Field({}, description="Served models by name")
    challengers: dict[str, ServedChallenger] = Field({}, description="Versions that are tried beside the served ones, by model")
    missing: tuple[str, ...] = Field((), description="Models on record that do not serve")
    stored: tuple[str, ...] = Field((), description="Models that have an archive in the store, on record or not")
    differences: tuple[Difference, ...] = Field((), description="Differences between the records, and what was done")

    @property
    def unsettled(self) -> Difference | None:
        """The first difference that only a person can resolve."""
        return next((difference for difference in self.differences if difference.remedy), None)

    @property
    def fault(self) -> GlocalError | None:
        """Why a running server does not do its work or its records cannot be read; None if there is no fault."""
        if self.state == "deaf" and self.gateway_pid is None:
            return Unavailable("The gateway does not answer.", f"{_REPLACE} Its logs: {Path(self.log).with_name('gateway')}.")
        if self.state == "deaf":
            return Unavailable(f"The server of models (process {self.pid}) does not answer.", f"{_REPLACE} Its logs: {self.log}.")
        missing = f"On record, but not served: {', '.join(self.missing)}." if self.missing else ""
        if open_ := self.unsettled:
            found = f"{missing} {open_.model + ': ' if open_.model else ''}{open_.found}".strip()
            return StorageFailed(found, f"{open_.remedy} {open_.done}".strip())
        if missing:
            return Unavailable(missing, f"{_RESTORE} Logs: {self.log}.")
        if self.state == "empty":
            return Unavailable("The endpoint runs and serves no model.", self._way_to_a_model)
        return None

    @property
    def _way_to_a_model(self) -> str:
        if self.stored:
            return f"Stored, but not served: {', '.join(self.stored)}. {_PUT_ON_RECORD}"
        return "Deploy one: glocal run DIR."
