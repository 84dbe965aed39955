"""The report of an evaluation: what report.json holds."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field, JsonValue

from model.schemas.calibration import Calibration
from model.schemas.data_pin import DataPin
from model.schemas.document import Document
from model.schemas.figures import RetrievalFigures
from model.schemas.schema import Schema

Settings = dict[str, dict[str, JsonValue]]
"""Section -> setting -> value, as the run had them. They are a record: settings that were renamed since can still be read."""


class Latency(Schema):
    """How long one query takes on the evaluating machine, from an image's bytes to its neighbours.

    Other work on the machine makes single queries slower and never faster. So the budget of the gate holds the fastest of the
    measured queries, and `ratio` compares each query with a pass through the trunk alone that was measured right after it.
    """

    median_ms: float = Field(gt=0, description="Median time of a query")
    fastest_ms: float = Field(gt=0, description="Time of the fastest query: what an idle machine needs")
    reference_ms: float = Field(gt=0, description="Median time of the trunk alone on one image, measured in alternation")
    ratio: float = Field(gt=0, description="Median of a query's time divided by the trunk's that followed it")
    queries: int = Field(ge=1, description="Number of measured queries")


class Count(Schema):
    """Size of a part of the data."""

    classes: int = Field(ge=0, description="Number of classes")
    samples: int = Field(ge=0, description="Number of images or boxes")


class HeadDescription(Schema):
    """One head of the network."""

    name: str = Field(description="Name of the head")
    settings: dict[str, JsonValue] = Field(description="What it is made of: tap, attention, pooling, dimensions, ...")


class LossDescription(Schema):
    """One term of the training loss."""

    name: str = Field(description="Name of the loss")
    on: str = Field(description="Embedding that the loss stands on")
    weight: float = Field(description="Weight in the sum")


class NetworkDescription(Schema):
    """What the network is made of, and what it was trained with."""

    method: str = Field(description="Name of the method")
    trunk: str = Field(description="Name of the timm model")
    image_size: int = Field(ge=1, description="Side of the square image the trunk sees, in pixels")
    dimensions: int = Field(ge=1, description="Length of the merged embedding")
    heads: tuple[HeadDescription, ...] = Field(description="Heads in the order of the merged embedding")
    losses: tuple[LossDescription, ...] = Field(description="Terms of the training loss")


class Licences(Schema):
    """Terms of what the model is made from; those of the data are in the pin."""

    weights: str = Field(description="Terms of the trunk's weights")
    code: str = Field(description="Terms of the code")


class Epoch(Schema):
    """One epoch of a training; epoch 0 is the init, which has no loss."""

    epoch: int = Field(ge=0, description="Number of the epoch")
    map_at_r: float = Field(description="MAP@R on the validation classes")
    loss: float | None = Field(None, description="Mean loss of the epoch")
    seconds: float | None = Field(None, ge=0, description="Duration of the epoch")


class TrainingSummary(Schema):
    """How a training went."""

    epochs: int = Field(ge=0, description="Number of epochs that were trained")
    best_epoch: int = Field(ge=0, description="Epoch whose weights were kept; 0: the init was kept")
    untrained: float | None = Field(None, description="MAP@R of the untrained trunk on the validation classes")
    history: tuple[Epoch, ...] = Field(min_length=1, description="Every epoch, from the init on")
    saturated: bool = Field(False, description="Whether the validation classes are too easy to tell two models apart")
    warning: str = Field("", description="What a reader must know about the choice of the epoch")

    @property
    def kept_init(self) -> bool:
        """Whether no epoch was better than the init."""
        return self.best_epoch == 0

    @property
    def init(self) -> float:
        """MAP@R of the closed-form init on the validation classes."""
        return self.history[0].map_at_r

    @property
    def best(self) -> float:
        """MAP@R of the kept epoch on the validation classes."""
        return next(epoch.map_at_r for epoch in self.history if epoch.epoch == self.best_epoch)

    @property
    def kept(self) -> str:
        """Which weights were kept, in words: 'best epoch 4 of 12', or that the start was kept."""
        if self.kept_init:
            return f"the start was kept: none of {self.epochs} epochs was better than the init"
        return f"best epoch {self.best_epoch} of {self.epochs}"


class Report(Document):
    """All that an evaluation found out about a release."""

    REMEDY: ClassVar[str] = "Run the pipeline again; the step evaluate writes the report."
    format: Literal[2] = 2
    made_at: AwareDatetime = Field(description="When the evaluation ended")
    release: str = Field(description="Id of the evaluated release")
    embedding_space_id: str = Field(description="Id of the weights, configuration and preprocessing")
    code_revision: str = Field(description="Code that made the release")
    data: DataPin = Field(description="The data")
    settings: Settings = Field(description="Settings of model, training and evaluation")
    retrieval: RetrievalFigures = Field(description="The figures on the test classes")
    latency: Latency = Field(description="Time of a query")
    size_mb: float = Field(gt=0, description="Size of the release folder in MiB")
    gallery: Count = Field(description="What the release searches")
    splits: dict[str, Count] = Field(description="Size of each side of the split")
    calibration: Calibration = Field(description="Thresholds at stated false-accept rates")
    network: NetworkDescription = Field(description="The network")
    licences: Licences = Field(description="Terms of weights and code")
    training: TrainingSummary = Field(description="How the training went")

    def recorded(self) -> dict[str, float]:
        """The figures that stand on the record of a run and beside a registered version."""
        figures = {name: figure.value for name, figure in self.retrieval.figures.items()}
        latency = {"latency_ms": self.latency.median_ms, "latency_fastest_ms": self.latency.fastest_ms}
        return figures | latency | {"latency_ratio": self.latency.ratio, "size_mb": self.size_mb}
