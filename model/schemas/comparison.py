"""Two models on the same queries: how many the second one wins and loses, and those with the largest changes as images."""

from typing import ClassVar, Literal

from pydantic import Field

from model.schemas.document import Document
from model.schemas.illustrations import SheetQuery
from model.schemas.schema import Schema

COMPARISON = "comparison.json"
"""File that holds a `Comparison` with a champion beside the gate's decision."""


class ChangedQuery(Schema):
    """One query with its neighbours under both models."""

    before: SheetQuery
    after: SheetQuery


class Comparison(Document):
    """The queries won and lost."""

    REMEDY: ClassVar[str] = "Run the pipeline again; the step gate writes the comparison."
    format: Literal[1] = 1
    before: str = Field(description="Name of the first model")
    after: str = Field(description="Name of the second model")
    queries: int = Field(ge=0, description="Number of queries that have a possible match")
    won: int = Field(ge=0, description="Queries whose MAP@R is higher under the second model")
    lost: int = Field(ge=0, description="Queries whose MAP@R is lower under the second model")
    most_won: tuple[ChangedQuery, ...] = Field(description="Queries with the largest gains, largest first")
    most_lost: tuple[ChangedQuery, ...] = Field(description="Queries with the largest losses, largest first")
