"""Figures of one head alone."""

from pydantic import Field

from model.schemas.figures import Figure
from model.schemas.schema import Schema


class HeadFigures(Schema):
    """The test classes searched by the embedding of one head, or by the merged one."""

    name: str = Field(description="Name of the head; merged: all heads together")
    dimensions: int = Field(ge=1, description="Length of its embedding")
    weight: float | None = Field(description="Its weight in the merged embedding; None for the merged one")
    recall_at_1: Figure = Field(description="Recall@1")
    map_at_r: Figure = Field(description="MAP@R")
    gain: Figure | None = Field(
        description="MAP@R of the merged embedding less that of this head, paired; None for the merged one"
    )
    queries: int = Field(ge=1, description="Number of queries, spread over the classes, that have a possible match")
