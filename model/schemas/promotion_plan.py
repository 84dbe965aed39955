"""What a promotion would change: the versions side by side, before anyone says yes."""

from pydantic import Field

from model.schemas.model_version import ModelVersion
from model.schemas.schema import Schema


class FigureChange(Schema):
    """A figure of two versions, each as its own report has it."""

    before: float | None = Field(description="Figure of the first version; None if its report has none")
    after: float | None = Field(description="Figure of the second version; None likewise")


class TextChange(Schema):
    """A text that differs between two versions, such as a setting."""

    before: str = Field(description="Of the first version; empty if it has none")
    after: str = Field(description="Of the second version; empty likewise")


class PromotionPlan(Schema):
    """A version that is to serve, beside the one that serves."""

    model: str = Field(description="Name of the registered and served model")
    serving: ModelVersion | None = Field(description="The champion; None if there is none")
    wanted: ModelVersion = Field(description="The version that is to serve")
    figures: dict[str, FigureChange] = Field(description="Figures by name")
    data: TextChange | None = Field(description="Data, as name@revision, if they differ")
    other_data: bool = Field(description="Whether the data are another data set, not another revision of the same one")
    settings: dict[str, TextChange] = Field(description="Settings of the runs that differ, by name")
    same_space: bool = Field(description="Whether both embed in one space, so that vectors and thresholds of callers stay valid")
    unsigned: bool = Field(description="Whether only signed versions are loaded here, and the wanted one has no signature")
    serves: bool = Field(description="Whether the wanted version is the champion already, so that nothing would change")
