"""Several runs, side by side."""

from pydantic import Field

from model.schemas.run_record import RunRecord
from model.schemas.schema import Schema
from model.schemas.version_diff import WonAndLost


class ComparedFigure(Schema):
    """A figure of one run."""

    value: float = Field(description="The figure")
    lower: float | None = Field(None, description="Lower bound of its interval; None if the run's report was not kept")
    upper: float | None = Field(None, description="Upper bound likewise")


class RunComparison(Schema):
    """What differs between some runs."""

    runs: tuple[RunRecord, ...] = Field(min_length=2, description="The runs, without their steps")
    settings: dict[str, tuple[str, ...]] = Field(description="Settings by name, with the value of each run; empty: it has none")
    figures: dict[str, tuple[ComparedFigure | None, ...]] = Field(description="Figures by name, of each run; None: it has none")
    curves: dict[str, tuple[tuple[tuple[int, float], ...], ...]] = Field(
        description="Curves by the name of the metric: of each run the points, epoch and value"
    )
    queries: tuple[WonAndLost | None, ...] = Field(
        description="Queries that each run wins and loses against the first one; None if both did not answer the same queries"
    )
    notes: tuple[str, ...] = Field((), description="What could not be compared, and why, in sentences")

    @property
    def differing(self) -> dict[str, tuple[str, ...]]:
        """The settings that differ."""
        return {name: values for name, values in self.settings.items() if len(set(values)) > 1}
