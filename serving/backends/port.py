"""What the gateway asks of a server of models, whichever it is. Each backend is a folder beside this file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from model.errors import GlocalError
from model.schemas.calibration import Reference
from serving.operations.query import Query


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
