"""Figures of an evaluation with intervals, over all queries, by class and by group."""

from pydantic import Field

from model.schemas.schema import Schema


class Figure(Schema):
    """A measured figure and its bootstrap interval."""

    value: float = Field(description="The figure; a mean over queries is one over those that have a possible match")
    lower: float = Field(description="Lower bound of the interval")
    upper: float = Field(description="Upper bound of the interval")


class GroupFigures(Schema):
    """The figures of one class or one group; they are None if none of its queries has a possible match."""

    queries: int = Field(ge=0, description="Number of queries that have a possible match")
    recall_at_1: Figure | None = Field(description="Recall@1")
    map_at_r: Figure | None = Field(description="MAP@R")
    untrained: float | None = Field(description="MAP@R of the untrained trunk")


class Bootstrap(Schema):
    """Settings of the intervals."""

    samples: int = Field(ge=1, description="Number of resamples")
    confidence: float = Field(gt=0, lt=1, description="Share of the resamples within an interval")
    seed: int = Field(description="Seed of the resamples")
    drawn: str = Field("classes", description="Units that a resample draws, with all their queries")


class HistogramColumn(Schema):
    """Number of queries with a MAP@R in one range."""

    start: float = Field(description="Lower end of the range")
    stop: float = Field(description="Upper end of the range")
    candidate: int = Field(ge=0, description="Queries of the trained model")
    untrained: int = Field(ge=0, description="Queries of the untrained trunk")


class RetrievalFigures(Schema):
    """Figures of a model on the test classes, and of the untrained trunk on the same queries."""

    queries: int = Field(ge=1, description="Number of queries")
    queries_without_match: int = Field(ge=0, description="Queries without another image of their class; they are in no figure")
    distractors: int = Field(0, ge=0, description="Number of distractors, which are searched and are never a query")
    classes: int = Field(ge=1, description="Number of classes of the queries")
    figures: dict[str, Figure] = Field(description="Figures by name: recall_at_1, map_at_r, ...")
    untrained: dict[str, Figure] = Field(description="The same figures of the untrained trunk")
    gain: Figure = Field(description="Gain in MAP@R over the untrained trunk, paired by query")
    by_class: dict[str, GroupFigures] = Field(description="Figures of each class")
    by_group: dict[str, GroupFigures] = Field(description="Figures of each group; empty if the data name no groups")
    histogram: tuple[HistogramColumn, ...] = Field(description="Number of queries by MAP@R")
    bootstrap: Bootstrap = Field(description="Settings of the intervals")
