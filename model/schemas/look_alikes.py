"""Samples of a data set that look alike by the embeddings of a release: suspicious labels and near duplicates."""

from pydantic import Field

from model.schemas.document import Document
from model.schemas.schema import Schema


class Neighbour(Schema):
    """An entry of a gallery near another one."""

    id: str = Field(description="Id of the entry")
    label: str = Field(description="Its label")
    score: float = Field(description="Cosine similarity of the two embeddings")


class SuspiciousLabel(Schema):
    """An entry whose nearest neighbours mostly have one other label."""

    id: str = Field(description="Id of the entry")
    label: str = Field(description="Its label")
    suggested: str = Field(description="The label that most of its neighbours have")
    agreeing: int = Field(ge=0, description="Number of neighbours with its own label")
    suggesting: int = Field(ge=1, description="Number of neighbours with the suggested label")
    neighbours: tuple[Neighbour, ...] = Field(description="The nearest entries but itself, nearest first")


class NearDuplicate(Schema):
    """Two entries whose embeddings nearly are the same."""

    one: str = Field(description="Id of the entry that comes first in the gallery")
    other: str = Field(description="Id of the other one")
    labels: tuple[str, str] = Field(description="Their labels")
    score: float = Field(description="Cosine similarity of the two embeddings")


class LookAlikes(Document):
    """What the neighbourhoods of a gallery's entries say of their labels."""

    format: int = 1
    REMEDY = "Look for it again."
    entries: int = Field(ge=0, description="Number of entries of the gallery")
    looked_at: int = Field(ge=0, description="Number of entries whose neighbours were looked at")
    not_judged: int = Field(ge=0, description="Number of those whose class has too few entries to say anything of a label")
    suspicious: int = Field(ge=0, description="Number of suspicious labels found")
    labels: tuple[SuspiciousLabel, ...] = Field(description="The most suspicious of them, the most suspicious first")
    duplicates: int = Field(ge=0, description="Number of pairs found")
    pairs: tuple[NearDuplicate, ...] = Field(description="The nearest of them: first those of two labels, then the others")
