"""Golden queries: images within a release, and the answers that the release must give."""

from pydantic import Field

from model.schemas.schema import Schema

Place = tuple[float, float, float, float]
Places = tuple[Place, ...]
"""Where two images match: x and y in the one, x and y in the other, as shares of their width and height."""


class Neighbour(Schema):
    """One answer to a query."""

    id: str = Field(description="Id of the gallery entry")
    label: str = Field(description="Class of the entry")
    score: float = Field(description="Cosine similarity to the query")
    inliers: int | None = Field(
        None,
        ge=0,
        description="Local matches with the query that one affine map fits, by which the first answers are re-ranked; "
        "0 if they were not compared; absent if the release does not re-rank",
    )
    matches: Places | None = Field(
        None,
        description="Where up to 64 of these matches lie, most similar first: x and y in the query, x and y in the entry, as "
        "shares of width and height; absent unless asked for",
    )


class GoldenQuery(Schema):
    """One image, and what its release answers about it."""

    file: str = Field(pattern=r"^[^/\\]+$", description="File name in the release's golden folder")
    neighbours: tuple[Neighbour, ...] = Field(description="Neighbours that must be found, best first")
    embedding: tuple[float, ...] = Field((), description="Merged embedding of the image; empty in releases of earlier code")
