"""Two versions of data sets, side by side."""

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.promotion_plan import TextChange
from model.schemas.schema import Schema


class DataSample(Schema):
    """One sample of a version."""

    id: str = Field(description="Id of the sample: the path of its image, and its box if it has one")
    label: str = Field(description="Its label")
    split: str = Field(description="Side of the split: train, val, test, scene or distractor")

    def __str__(self) -> str:
        return f"{self.id} ({self.label}, {self.split})"


class ChangedSample(Schema):
    """One image in both versions."""

    before: DataSample = Field(description="The sample in the first version")
    after: DataSample = Field(description="The sample in the second version")


class Leak(Schema):
    """Two samples of the second version that look the same and stand on two sides of the split."""

    one: DataSample = Field(description="One of them")
    other: DataSample = Field(description="The other one")


class SplitSize(Schema):
    """The size of one side of the split."""

    samples: int = Field(0, ge=0, description="Number of samples")
    classes: int = Field(0, ge=0, description="Number of classes")


class SplitChange(Schema):
    """The size of one side of the split in both versions."""

    before: SplitSize = Field(description="In the first version")
    after: SplitSize = Field(description="In the second version")


class DataDiff(Schema):
    """What differs between two versions. Samples are the same if their images' bytes and boxes are, whatever their names."""

    before: DataPin = Field(description="The first version")
    after: DataPin = Field(description="The second version")
    samples: int = Field(ge=0, description="Number of samples that both have")
    added: tuple[DataSample, ...] = Field(description="Samples of the second version alone")
    removed: tuple[DataSample, ...] = Field(description="Samples of the first version alone")
    relabelled: tuple[ChangedSample, ...] = Field(description="Samples with another label")
    moved: tuple[ChangedSample, ...] = Field(description="Samples on another side of the split")
    renamed: int = Field(ge=0, description="Number of samples under another path")
    classes_added: tuple[str, ...] = Field(description="Classes of the second version alone")
    classes_removed: tuple[str, ...] = Field(description="Classes of the first version alone")
    classes_moved: dict[str, TextChange] = Field(description="Classes on another side of the split: the sides before and after")
    splits: dict[str, SplitChange] = Field(description="Size of each side of the split that is not empty")
    seen: int = Field(
        ge=0,
        description="Test samples of the second version that train or validate in the first: a model trained on it has seen them",
    )
    leaks: tuple[Leak, ...] = Field(
        description="Pairs on two sides of the split that look the same, at least one of which is new or was moved"
    )

    @property
    def same(self) -> bool:
        """Whether nothing differs but names of files."""
        return not (self.added or self.removed or self.relabelled or self.moved)
