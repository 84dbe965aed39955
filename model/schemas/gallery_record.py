"""The record of a stored gallery, as gallery.json holds it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model.schemas.document import Document
from model.schemas.schema import Schema

GALLERY_RECORD = "gallery/gallery.json"
"""Where a release has the record."""
RECALL_DEPTH = 10
"""Neighbours of a query of which an approximate search must find a stated share."""


@dataclass(frozen=True)
class IndexPlan:
    """How a gallery is to be searched.

    Attributes:
        kind: `flat` compares a query with every entry, `ivf` with those of some lists; `milvus` leaves it to a Milvus server;
            `auto`: flat or ivf, by the size of the gallery.
        flat_up_to: Most entries of a gallery that `auto` searches flat.
        min_recall: Least recall@10 of an approximate search against the exact one.
    """

    kind: Literal["auto", "flat", "ivf", "milvus"] = "auto"
    flat_up_to: int = 50_000
    min_recall: float = 0.98

    def has_lists(self, count: int) -> bool:
        """Whether a gallery of `count` entries gets lists."""
        return count > 0 and (self.kind == "ivf" or (self.kind == "auto" and count > self.flat_up_to))


BY_SIZE = IndexPlan()


class FlatIndex(Schema):
    """Every query is compared with every entry."""

    kind: Literal["flat"] = "flat"


class _ApproximateIndex(Schema):
    """A search that may miss neighbours."""

    recall_at_10: float = Field(ge=0, le=1, description="Share of the 10 true nearest that it finds, of entries as queries")
    queries: int = Field(ge=1, description="Number of entries that were these queries, each without itself")


class IvfIndex(_ApproximateIndex):
    """Entries are kept in lists by their nearest centroid; a query is compared with those of some lists."""

    kind: Literal["ivf"] = "ivf"
    lists: int = Field(ge=1, description="Number of lists")
    probes: int = Field(ge=1, description="Lists that a query is compared with")


class MilvusIndex(_ApproximateIndex):
    """The vectors lie in a collection of a Milvus server."""

    kind: Literal["milvus"] = "milvus"
    collection: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$", description="Name of the collection")
    ef: int = Field(ge=1, description="Entries that a query is compared with along its graph, at least")


GalleryIndex = Annotated[FlatIndex | IvfIndex | MilvusIndex, Field(discriminator="kind")]


class GalleryRecord(Document):
    """What a stored gallery is: of which embedding space, how large, and how it is searched."""

    REMEDY: ClassVar[str] = "Fetch the release again, or run the pipeline again."
    format: Literal[1] = 1
    embedding_space_id: str = Field(description="Id of the weights, configuration and preprocessing")
    count: int = Field(ge=0, description="Number of entries")
    dimensions: int = Field(ge=0, description="Length of a vector")
    vectors_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of vectors.npy, also where Milvus has the vectors")
    classes: tuple[str, ...] = Field(description="Class names, by the numbers in labels.npy")
    groups: tuple[str, ...] | None = Field(None, description="Group names, by the numbers in groups.npy; absent without groups")
    index: GalleryIndex = Field(description="How it is searched")
    plan: IndexPlan = Field(BY_SIZE, description="How it was to be searched: a gallery with more entries is searched likewise")
