"""Two registered versions, side by side."""

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.model_version import ModelVersion
from model.schemas.promotion_plan import FigureChange, TextChange
from model.schemas.schema import Schema


class DataChange(Schema):
    """The data that two versions were trained on."""

    before: DataPin | None = Field(description="Of the first version; None if its release cannot be read")
    after: DataPin | None = Field(description="Of the second version; None likewise")
    added: int | None = Field(description="Images of the second data alone, by content; None if one of them cannot be read")
    removed: int | None = Field(description="Images of the first data alone, by content; None likewise")


class QueryChange(Schema):
    """One query under two versions."""

    id: str = Field(description="Id of the query's sample")
    before: float = Field(description="MAP@R under the first version")
    after: float = Field(description="MAP@R under the second version")


class WonAndLost(Schema):
    """The test queries of one version of a data set under two versions of a model."""

    queries: int = Field(ge=0, description="Number of queries that have a possible match")
    won: int = Field(ge=0, description="Queries whose MAP@R is higher under the second version")
    lost: int = Field(ge=0, description="Queries whose MAP@R is lower under the second version")
    most_won: tuple[QueryChange, ...] = Field(description="Queries with the largest gains, largest first")
    most_lost: tuple[QueryChange, ...] = Field(description="Queries with the largest losses, largest first")


class VersionDiff(Schema):
    """What differs between two registered versions of a model."""

    before: ModelVersion = Field(description="The first version")
    after: ModelVersion = Field(description="The second version")
    same_space: bool = Field(description="Whether both embed in one space, so that vectors and thresholds of callers stay valid")
    settings: dict[str, TextChange] = Field(description="Settings of the runs that trained them that differ, by name")
    data: DataChange = Field(description="Data that they were trained on")
    gallery: TextChange | None = Field(description="Data of their galleries, as name@revision, if they differ")
    figures: dict[str, FigureChange] = Field(description="Figures by name, each as the version's own report has it")
    queries: WonAndLost | None = Field(description="Queries won and lost; None if both did not answer the same queries on record")
    notes: tuple[str, ...] = Field(description="What could not be compared, and why, in sentences")
