"""Golden queries: the images that a release carries, and the answers that it must give."""

from pydantic import Field

from model.schemas.schema import Schema


class Neighbour(Schema):
    """One answer to a query."""

    id: str = Field(description="The gallery entry")
    label: str = Field(description="Its class")
    score: float = Field(description="Cosine similarity to the query")


class GoldenQuery(Schema):
    """One image and the neighbours that its release finds for it."""

    file: str = Field(pattern=r"^[^/\\]+$", description="File name in the release's golden folder")
    neighbours: tuple[Neighbour, ...] = Field(description="The neighbours that must be found, best first")
