"""Two galleries compared, and what an enrolment or a removal did."""

from typing import ClassVar, Literal

from pydantic import Field

from model.schemas.document import Document
from model.schemas.schema import Schema

CHANGE = "change.json"
"""File that holds a `GalleryChange` in a folder of its own."""


class GallerySize(Schema):
    """One gallery in short."""

    release: str = Field(description="Id of its release")
    embedding_space_id: str = Field(description="Embedding space of its vectors")
    images: int = Field(ge=0, description="Number of entries: images, or boxes in images")
    labels: int = Field(ge=0, description="Number of labels that have an entry")
    data: tuple[str, ...] = Field(description="Data that its entries come from, each as name@revision")


class GalleryDiff(Schema):
    """What one gallery holds and another one does not. An entry is an id and its label."""

    before: GallerySize = Field(description="The first gallery")
    after: GallerySize = Field(description="The second gallery")
    same_space: bool = Field(description="Whether vectors of both may be compared")
    same_thresholds: bool = Field(description="Whether both releases state the same thresholds and rates")
    labels_added: tuple[str, ...] = Field(description="Labels of the second gallery alone")
    labels_removed: tuple[str, ...] = Field(description="Labels of the first gallery alone")
    added: dict[str, tuple[str, ...]] = Field(description="Ids of the second gallery alone, by label")
    removed: dict[str, tuple[str, ...]] = Field(description="Ids of the first gallery alone, by label")


class GalleryBase(Schema):
    """The version whose gallery is changed, and the champion that the result is to replace."""

    model: str = Field(description="Name of the registered and served model")
    version: str = Field(description="Version that gives weights, thresholds and, unless it is replaced, the gallery")
    champion: str = Field("", description="Version that is champion; empty: none is")

    @property
    def replaced(self) -> str:
        """The version that the result is compared with."""
        return self.champion or self.version


class GalleryChange(Document):
    """What an enrolment or a removal did to the gallery of a version; counts of entries by label."""

    REMEDY: ClassVar[str] = "Run the command again."
    format: Literal[1] = 1
    version: str = Field(description="Registered version whose gallery was changed")
    release: str | None = Field(description="Id of the new release; null: nothing was to be done, and there is none")
    images: int = Field(ge=0, description="Number of entries of the gallery now")
    labels: int = Field(ge=0, description="Number of labels that have an entry now")
    added: dict[str, int] = Field(description="New entries by label")
    removed: dict[str, int] = Field(description="Removed entries by label")
    copies: dict[str, str] = Field({}, description="Images that were not added again, by id, and the entries that show the same")
