"""A correction: an image whose answer was wrong, and the right label."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from model.schemas.document import Document
from model.schemas.schema import Schema


class Asked(Schema):
    """What was asked of an image, and what the answer said."""

    operation: str = Field(max_length=50, description="Name of the operation")
    model: str = Field(description="Name of the served model")
    model_version: str = Field(description="Version that answered")
    release: str = Field(description="Release that answered")
    said: tuple[Annotated[str, StringConstraints(max_length=1000)], ...] = Field(
        max_length=10, description="The answer in lines for people"
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the image's bytes")


class Correction(Document):
    """An image with its right label, kept until somebody accepts it into a data set or drops it."""

    REMEDY: ClassVar[str] = "Remove its folder."
    format: Literal[1] = 1
    id: str = Field(description="Id of the correction")
    at: AwareDatetime = Field(description="When it was made")
    by: str = Field(description="Name of who made it")
    label: str = Field(min_length=1, description="The right label")
    box: tuple[float, float, float, float] | None = Field(
        None, description="Where the object is: xmin, ymin, xmax, ymax in pixels of the upright image; absent: the whole image"
    )
    data: str = Field(description="Name of the data set that the model was trained on")
    name: str = Field(description="Name of the image's file, as its owner had it")
    file: str = Field(pattern=r"^image\.[a-z0-9]+$", description="Name of the image's file in the correction's folder")
    asked: Asked = Field(description="What was asked and answered")
    accepted: str = Field("", description="Version of the data set that has it, as name@revision; empty: none yet")
