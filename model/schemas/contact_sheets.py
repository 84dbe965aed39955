"""Contact sheets: queries with their neighbours as thumbnails, so that a page can be rendered again without the data."""

from typing import ClassVar, Literal

from pydantic import Field

from model.schemas.document import Document
from model.schemas.schema import Schema


class SheetImage(Schema):
    """A thumbnail."""

    source: str | None = Field(description="The thumbnail as a data: URI; None if the image cannot be read")
    name: str = Field(description="Name of the image's class")
    path: str = Field(description="Path of the image in the data")
    right: bool = Field(False, description="Whether the image is of the query's class")
    score: float = Field(0.0, description="Cosine similarity to the query")


class SheetQuery(Schema):
    """A query and its nearest neighbours."""

    query: SheetImage
    map_at_r: float = Field(description="MAP@R of this query")
    neighbours: tuple[SheetImage, ...] = Field(description="Neighbours, nearest first")


class ContactSheet(Schema):
    """Some queries and how they were chosen."""

    title: str
    text: str = Field(description="How the queries were chosen")
    queries: tuple[SheetQuery, ...]


class ContactSheets(Document):
    """All contact sheets of a report."""

    REMEDY: ClassVar[str] = "Run the pipeline again; the step evaluate writes the contact sheets."
    format: Literal[1] = 1
    sheets: tuple[ContactSheet, ...]
