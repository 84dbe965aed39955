"""The port: what a server of models does for us, whichever it is. Each adapter is a folder beside this file.

Asking     answers queries; the gateway is its only caller
Loading    loads and unloads versions while the server runs
Backend    starts, finds and ends the server, and makes the other two

Nothing of a server decides which version serves: the gateway names a version in every query (serving/gateway/deployments.py).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from model.errors import GlocalError
from model.home import ServeFolder
from model.schemas.calibration import Reference
from model.schemas.challenge import Challenge
from model.schemas.status import Difference, ServedVersion
from serving.operations.query import Query

QUEUE = 16
"""Blocks of queries that wait for one version; a server refuses further ones."""
RESPONSE_S = 30
"""Seconds to answer a block of queries, after which a worker is given up."""
STARTUP_S = 120
"""Seconds to load a release, after which a worker is given up."""


@dataclass(frozen=True)
class Served:
    """A version of a model that can be asked.

    Attributes:
        name: Name of the served model.
        version: Its version.
        release: Id of the release that answers; empty for a version that a client named and the records do not.
        embedding_space_id: Embedding space of the answers; empty likewise.
        workers: Number of its workers.
        reference: What its answers to held-out images are like; None if its release does not say.
    """

    name: str
    version: str
    release: str = ""
    embedding_space_id: str = ""
    workers: int = 1
    reference: Reference | None = None


class Asking(Protocol):
    """The side of a backend that answers queries. Several tasks may use it at a time."""

    async def ask(self, served: Served, queries: Sequence[Query]) -> list[dict[str, Any] | GlocalError]:
        """Answer queries, all of them in one pass. A query that cannot be answered has its error in place of the answer.

        Raises:
            NotFound: There is no such version.
            Overloaded: Its queue is full.
            Unavailable: No worker is ready, or none answers in time.
        """
        ...

    async def ready(self, served: Served) -> bool:
        """Whether a worker of this version answers."""
        ...


@dataclass(frozen=True)
class Stored:
    """A version that can be loaded: its archive lies in the store, and was verified.

    Attributes:
        name: Name of the served model.
        version: Its version.
        archive: File of the archive.
        workers: Number of worker processes.
        challenge: Terms on which it is tried beside the version that serves; None: it is to serve.
    """

    name: str
    version: str
    archive: Path
    workers: int
    challenge: Challenge | None = None


class Loading(Protocol):
    """The side of a backend that loads and unloads versions. Its caller holds the lock of deployments."""

    def held(self) -> Mapping[str, Sequence[ServedVersion]]:
        """The versions that are loaded, by name of the model. One without a living process is not among them.

        Raises:
            Unavailable: The server does not answer.
        """
        ...

    def begin(self, stored: Stored) -> None:
        """Begin to load a version that is not loaded, and wait for nothing. `load` goes on from there, `unload` ends it.

        Raises:
            Unavailable: The server refuses it, or does not answer.
        """
        ...

    def load(self, stored: Stored) -> None:
        """Load a version, unless it is loaded, and wait until all its workers are ready.

        A worker that could not load the release is not started again and again: the release counts as one that cannot be loaded.

        Raises:
            Unavailable: The workers are not ready within `STARTUP_S`, or one of them could not load the release. What is
                there of the version stays until it is unloaded.
        """
        ...

    def unload(self, name: str, version: str) -> None:
        """End a version's workers. What still waits for them is refused. Nothing happens if the version is not loaded."""
        ...

    def waiting(self, name: str, version: str) -> int:
        """Number of blocks of queries that wait for a worker of a version; 0 if it is not loaded."""
        ...


@dataclass(frozen=True)
class State:
    """A server that runs.

    Attributes:
        healthy: Whether it answers.
        pid: Id of its process; None if it has none beside its workers'.
        memory_mb: Resident megabytes of the server and its workers.
        held: The versions that are loaded, by name of the model; empty if it does not answer.
    """

    healthy: bool
    pid: int | None
    memory_mb: float
    held: Mapping[str, Sequence[ServedVersion]] = field(default_factory=dict)


class Backend(Protocol):
    """An adapter. `ensure` and `stop` are called by the holder of the lock of starts."""

    @property
    def name(self) -> str:
        """Its name in the setting, and of the folder of its logs."""
        ...

    @property
    def is_elsewhere(self) -> bool:
        """Whether server and gateway run elsewhere, at the address in the setting; else the gateway of the home is started."""
        ...

    def wrapping(self, name: str, version: str) -> Mapping[str, bytes]:
        """What the server needs in a version's archive beside the release, by name of the entry."""
        ...

    def ensure(self, folder: ServeFolder) -> None:
        """Start the server of a home, unless it runs and answers.

        Raises:
            Unavailable: It does not come up; the hint names its log.
        """
        ...

    def runs(self, folder: ServeFolder) -> bool:
        """Whether the server of a home runs, whichever process started it, and whether it answers or not."""
        ...

    def answers(self, folder: ServeFolder) -> bool:
        """Whether it runs and answers."""
        ...

    def state(self, folder: ServeFolder) -> State | None:
        """The server as it is now; None if it does not run."""
        ...

    def damages(self, folder: ServeFolder) -> Sequence[Difference]:
        """The files of the server that cannot be read."""
        ...

    def stop(self, folder: ServeFolder) -> bool:
        """End the server and its workers; returns whether there was one. No process is left."""
        ...

    def loading(self, folder: ServeFolder) -> AbstractContextManager[Loading]:
        """The side that loads, of a server that runs, for the duration of the block."""
        ...

    def asking(self, folder: ServeFolder) -> Asking:
        """The side that answers. A server that is started anew meanwhile is found again."""
        ...

    def replicas(self, folder: ServeFolder) -> Sequence[str]:
        """Addresses of the gateways that answer, each with a server of its own; none where the home has the only one.

        Raises:
            Unavailable: They cannot be found now.
        """
        ...
