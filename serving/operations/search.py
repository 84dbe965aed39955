"""Search: the nearest images of the gallery."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from model.errors import InvalidInput
from model.schemas.golden import Neighbour
from model.schemas.schema import Schema
from serving.operations.operation import Answer, Operation, SeenImage

if TYPE_CHECKING:
    from model.release import Release
    from model.retrieval.gallery import Gallery
    from model.retrieval.retriever import Wanted

MAX_K = 10**9
"""Largest k that is accepted, and then clamped to the size of the gallery."""
MAX_NEIGHBOURS = 10_000
"""Maximum neighbours of an answer. The answers to a block of queries, which may be several callers', must find room together."""
MAX_NAME = 300
"""Maximum characters of a label or group: those of a folder's name, and some."""
_NOTES = {
    "no_keypoints": "The image has no local features: the embedding alone sorts the answers.",
    "budget": "Time ran out: not all of the first answers were compared by local features.",
}
"""What is said of a search whose re-ranking ended early, by its reason."""


class SearchOptions(Schema):
    """Options of `search`."""

    k: int = Field(5, ge=1, le=MAX_K, description="Number of neighbours, at most 10,000; clamped to the size of the gallery")
    label: str | None = Field(None, max_length=MAX_NAME, description="Only neighbours of this class")
    group: str | None = Field(None, max_length=MAX_NAME, description="Only neighbours of this group")
    rerank: bool = Field(True, description="Sort the first answers again by local features, if the release has them")
    matches: bool = Field(False, description="Say where the neighbours that were sorted again match the query")


class SearchAnswer(Answer):
    """The nearest images of the gallery."""

    neighbours: tuple[Neighbour, ...] = Field(description="Neighbours, best first")
    notes: tuple[str, ...] = Field((), description="What the answer lacks, and why")


class Search(Operation[SearchOptions]):
    """The nearest images of the gallery."""

    name = "search"
    options = SearchOptions
    answer = SearchAnswer

    def wanted(self, gallery: "Gallery", options: SearchOptions) -> "Wanted":
        """See `Operation.wanted`."""
        from model.retrieval.retriever import Wanted

        among = gallery.entries.rows(label=options.label, group=options.group)
        if min(options.k, len(gallery) if among is None else len(among)) > MAX_NEIGHBOURS:
            raise InvalidInput(f"search answers with at most {MAX_NEIGHBOURS} neighbours.", "Ask for fewer: k.")
        return Wanted(options.k, among, options.rerank, options.matches)

    def respond(self, release: "Release", images: Sequence[SeenImage], options: SearchOptions) -> dict[str, Any]:
        """See `Operation.respond`."""
        (image,) = images
        ended = image.found.ended if image.found else None
        notes = {"notes": [_NOTES[ended]]} if ended in _NOTES else {}
        return {"neighbours": [neighbour.model_dump(exclude_none=True) for neighbour in image.neighbours], **notes}
