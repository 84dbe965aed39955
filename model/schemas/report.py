"""The report of an evaluation, as report.json holds it."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field, JsonValue

from model.schemas.accept_rates import AcceptFigures
from model.schemas.calibration import Calibration
from model.schemas.data_pin import DataPin
from model.schemas.detection_figures import DetectionFigures
from model.schemas.document import Document
from model.schemas.figures import Figure, RetrievalFigures
from model.schemas.gallery_record import GalleryIndex
from model.schemas.head_figures import HeadFigures
from model.schemas.reranking import Reranking
from model.schemas.schema import Schema
from model.schemas.train_report import TrainReport

Settings = dict[str, dict[str, JsonValue]]
"""Values of a run's settings by section and name. They are a record, so settings that were renamed since can be read."""


class Latency(Schema):
    """The time of one query on the evaluating machine, from an image's bytes to its neighbours.

    Other work on the machine makes single queries slower and none faster. The gate therefore compares its budget with the
    fastest query, and `ratio` compares each query with a pass through the trunk alone that was measured right after it.
    """

    median_ms: float = Field(gt=0, description="Median time of a query")
    fastest_ms: float = Field(gt=0, description="Time of the fastest query, as on an idle machine")
    reference_ms: float = Field(gt=0, description="Median time of the trunk alone on one image, measured in alternation")
    ratio: float = Field(gt=0, description="Median of a query's time divided by that of the trunk right after it")
    queries: int = Field(ge=1, description="Number of measured queries")


class Count(Schema):
    """Size of a part of the data."""

    classes: int = Field(ge=0, description="Number of classes")
    samples: int = Field(ge=0, description="Number of images or boxes")


class HeadDescription(Schema):
    """One head of the network."""

    name: str = Field(description="Name of the head")
    settings: dict[str, JsonValue] = Field(description="Settings of the head: tap, attention, pooling, dimensions, ...")


class LossDescription(Schema):
    """One term of the training loss."""

    name: str = Field(description="Name of the loss")
    on: str = Field(description="Embedding that the loss reads")
    weight: float = Field(description="Weight in the sum")


class NetworkDescription(Schema):
    """The parts of the network and its losses."""

    method: str = Field(description="Name of the method")
    trunk: str = Field(description="Name of the timm model")
    image_size: int = Field(ge=1, description="Side of the trunk's square input in pixels")
    dimensions: int = Field(ge=1, description="Length of the merged embedding")
    heads: tuple[HeadDescription, ...] = Field(description="Heads in the order of the merged embedding")
    losses: tuple[LossDescription, ...] = Field(description="Terms of the training loss")


class Licences(Schema):
    """Licences of the model's weights and code; that of the data is in the pin."""

    weights: str = Field(description="Terms of the trunk's weights")
    code: str = Field(description="Terms of the code")


class Report(Document):
    """The results of an evaluation of a release."""

    REMEDY: ClassVar[str] = "Run the pipeline again; the step evaluate writes the report."
    format: Literal[2] = 2
    made_at: AwareDatetime = Field(description="End of the evaluation")
    release: str = Field(description="Id of the evaluated release")
    embedding_space_id: str = Field(description="Id of the weights, configuration and preprocessing")
    code_revision: str = Field(description="Revision of the code that made the release")
    data: DataPin = Field(description="Pin of the data")
    settings: Settings = Field(description="Settings of model, training and evaluation")
    retrieval: RetrievalFigures = Field(description="Figures on the test classes")
    latency: Latency = Field(description="Time of a query")
    size_mb: float = Field(gt=0, description="Size of the release folder in MiB")
    memory_mb: float | None = Field(
        None,
        gt=0,
        description="Peak resident memory, in MiB, of a fresh process that opens the release and answers queries; "
        "absent in reports of earlier code",
    )
    gallery: Count = Field(description="Size of the gallery that the release searches")
    index: GalleryIndex | None = Field(None, description="How the gallery is searched; absent in reports of earlier code")
    splits: dict[str, Count] = Field(description="Size of each side of the split")
    calibration: Calibration = Field(description="Thresholds at stated false-accept rates")
    verification: AcceptFigures | None = Field(
        None, description="Pairs of images told apart; absent if there are no two classes, and in reports of earlier code"
    )
    identification: AcceptFigures | None = Field(None, description="Queries named, or called unknown; absent likewise")
    detection: DetectionFigures | None = Field(
        None, description="Figures of scenes that calibrated nothing; absent if the release does not detect or has no such scenes"
    )
    heads: tuple[HeadFigures, ...] = Field((), description="The merged embedding and each head alone; empty for a single head")
    network: NetworkDescription = Field(description="The network")
    licences: Licences = Field(description="Terms of weights and code")
    training: TrainReport = Field(description="Report of the training")
    reranking: Reranking | None = Field(
        None,
        description="Figures of a sample of test queries with and without re-ranking; absent if the release does not re-rank. "
        "All other figures are those of the global search",
    )

    @property
    def calibration_error(self) -> float | None:
        """The largest difference of a stated false-accept rate and that on the test classes; None if none was measured."""
        operations = (self.verification, self.identification)
        return max((error for each in operations if each for error in each.calibration_errors), default=None)

    def recorded(self) -> dict[str, float]:
        """The figures that are recorded with a run and with a registered version."""
        figures = {name: figure.value for name, figure in self.measured.items()}
        recall = {} if self.index is None or self.index.kind == "flat" else {"gallery_recall_at_10": self.index.recall_at_10}
        latency = {"latency_ms": self.latency.median_ms, "latency_fastest_ms": self.latency.fastest_ms}
        costs = latency | {"latency_ratio": self.latency.ratio, "size_mb": self.size_mb}
        return figures | recall | costs | _known({"calibration_error": self.calibration_error, "memory_mb": self.memory_mb})

    @property
    def measured(self) -> dict[str, Figure]:
        """The recorded figures that have an interval, by name."""
        figures = dict(self.retrieval.figures)
        if self.verification and self.verification.candidate.eer:
            figures["eer"] = self.verification.candidate.eer
        for name, found in (("tar_at_far", self.verification), ("tpir_at_fpir", self.identification)):
            figures |= {f"{name}_{rate}": figure for rate, figure in (found.candidate.true_accept_at if found else {}).items()}
        if self.detection:
            figures |= {"ap50": self.detection.ap50, "ap50_unlabelled": self.detection.ap50_unlabelled}
        return figures

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The intervals of these figures, by name."""
        return {name: (figure.lower, figure.upper) for name, figure in self.measured.items()}


def _known(figures: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}
