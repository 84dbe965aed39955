"""What a report shows as images and drawings, so that its page can be rendered again without the data."""

from typing import ClassVar, Literal

from pydantic import Field

from model.schemas.document import Document
from model.schemas.golden import Places
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


class MatchedPair(Schema):
    """A query and an image that its local features match."""

    query: SheetImage
    found: SheetImage
    places: Places = Field(description="Where they match, by one affine map")


class SceneBox(Schema):
    """A box in a scene, as shares of its width and height."""

    box: tuple[float, float, float, float] = Field(description="Left, top, right, bottom")
    label: str = Field(description="Label of the object")
    kind: Literal["right", "wrong", "missed"] = Field(description="right, wrong: a detection; missed: a true box without one")
    score: float | None = Field(description="Score of the detection; None for a true box")


class SceneImage(Schema):
    """A scene with what was detected in it."""

    image: SheetImage
    boxes: tuple[SceneBox, ...]


class MapClass(Schema):
    """The queries of one class on the map."""

    name: str = Field(description="Name of the class")
    example: SheetImage | None = Field(description="Its most central query; None where there are too many classes to show")
    place: tuple[float, float] = Field(description="Place of that query")
    points: tuple[tuple[float, float, bool], ...] = Field(
        description="Each query's place, from the left and from the top, and whether its nearest neighbour is right"
    )


class EmbeddingMap(Schema):
    """Embeddings of queries, laid out in two dimensions."""

    seed: int = Field(description="Seed of the layout")
    height: float = Field(gt=0, le=1, description="Height of the map; its width is 1")
    classes: tuple[MapClass, ...]


class Illustrations(Document):
    """All images and drawings of a report."""

    REMEDY: ClassVar[str] = "Run the pipeline again; the step evaluate writes the illustrations."
    format: Literal[1] = 1
    sheets: tuple[ContactSheet, ...] = Field(description="Queries with their neighbours")
    matches: tuple[MatchedPair, ...] = Field((), description="Local matches; empty if the network has no local head")
    scenes: tuple[SceneImage, ...] = Field((), description="Scenes with detections; empty if none were evaluated")
    map: EmbeddingMap | None = Field(None, description="The map of the embedding; None for too few queries")
