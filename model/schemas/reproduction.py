"""A registered version and its training repeated: whether figures and embeddings agree."""

from typing import ClassVar, Literal

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.document import Document
from model.schemas.promotion_plan import FigureChange, TextChange
from model.schemas.train_report import Machine

REPRODUCTION = "reproduction.json"
"""File that holds a `Reproduction` in a folder of its own."""


class Reproduction(Document):
    """What a repeated training gave, beside what the version has."""

    REMEDY: ClassVar[str] = "Run the command again."
    format: Literal[1] = 1
    model: str = Field(description="Name of the registered model")
    version: str = Field(description="Version whose training was repeated")
    release: str = Field(description="Id of the version's release")
    repeated: str = Field(description="Id of the release that the repeated training gave; it is not registered")
    data: DataPin = Field(description="Data of both trainings")
    agrees: bool = Field(description="Whether all figures and embeddings that were compared differ by at most the tolerance")
    tolerance: float = Field(ge=0, description="Largest difference that counts as agreement")
    same_weights: bool = Field(description="Whether both networks are the same to the last bit")
    figures: dict[str, FigureChange] = Field(description="Figures on the test classes by name: the version's, then the repeated")
    figures_difference: float = Field(ge=0, description="Largest difference of a figure")
    embeddings: int = Field(ge=0, description="Number of images whose embeddings were compared")
    embeddings_difference: float | None = Field(description="Largest difference of an element; None if none was compared")
    code: TextChange | None = Field(description="Revisions of the code, if they differ")
    changed_files: tuple[str, ...] = Field(description="Files of the code that differ from the commit of the version's run")
    machine: Machine | None = Field(description="Machine of the repeated training")
    notes: tuple[str, ...] = Field(description="What could not be compared, and what may cause a difference, in sentences")
