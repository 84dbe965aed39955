"""The figures of a sample of queries with and without re-ranking by local features."""

from pydantic import Field

from model.schemas.schema import Schema


class Reranking(Schema):
    """A sample of queries, answered by the global search and re-ranked."""

    ratio: float | None = Field(gt=0, le=1, description="Lowe's ratio with which the release re-ranks; null: it does not")
    tried_ratio: float = Field(gt=0, le=1, description="Ratio of the figures: the chosen one, or the best of those tried")
    candidates: int = Field(ge=1, description="First answers of the global search that are sorted again")
    queries: int = Field(ge=1, description="Number of queries in the sample")
    map_at_r_before: float = Field(ge=0, le=1, description="MAP@R of the global search")
    map_at_r: float = Field(ge=0, le=1, description="MAP@R after re-ranking with the tried ratio")
    recall_at_1_before: float = Field(ge=0, le=1, description="Recall@1 of the global search")
    recall_at_1: float = Field(ge=0, le=1, description="Recall@1 after re-ranking with the tried ratio")
    gain_interval: tuple[float, float] = Field(description="95 % interval of the paired difference in MAP@R over classes")

    @property
    def gain(self) -> float:
        """MAP@R after re-ranking less that of the global search."""
        return self.map_at_r - self.map_at_r_before

    def change(self, kind: str) -> str:
        """The change of the figures, in words. `kind` says which images the queries are: held-out or test."""
        return (
            f"MAP@R of {self.queries} {kind} queries {self.map_at_r_before:.4f}, re-ranked {self.map_at_r:.4f} "
            "({:+.4f} [{:+.4f}, {:+.4f}])".format(self.gain, *self.gain_interval)
        )

    @property
    def choice(self) -> str:
        """Whether selection chose to re-rank, as a sentence."""
        change = self.change("held-out")
        if self.ratio is not None:
            return f"the first {self.candidates} answers are re-ranked by local features, ratio {self.ratio:g}: {change}"
        return f"answers are not re-ranked by local features, which gain too little or nothing for certain: {change}"
