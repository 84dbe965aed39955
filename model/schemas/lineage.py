"""Where a registered version comes from, and which versions some data went into."""

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.decision import Decision
from model.schemas.figures import Figure
from model.schemas.gallery import GalleryChange
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Promotion
from model.schemas.promotion_plan import TextChange
from model.schemas.run_record import RunRecord
from model.schemas.schema import Schema


class Lineage(Schema):
    """All that is on record of how a registered version came to be, and of what became of it."""

    version: ModelVersion = Field(description="The version")
    serves: bool = Field(description="Whether it answers queries at the endpoint of this home now")
    data: DataPin | None = Field(description="Data that the network was trained on; None if its release cannot be read")
    gallery: tuple[DataPin, ...] = Field(description="Data of the gallery where images were enrolled or removed; else empty")
    run: RunRecord | None = Field(description="Pipeline run that made it; None if it was registered without one")
    change: GalleryChange | None = Field(description="Change of its base version's gallery; None if it was trained")
    settings: dict[str, TextChange] = Field(
        description="Settings of its run that are not the default: the default, then the value"
    )
    evaluated: str = Field(description="Version with the same network that the figures were measured on; empty without a report")
    figures: dict[str, Figure] = Field(description="Figures of that version's report with their intervals")
    decision: Decision | None = Field(description="The gate's decision on it; None if none was kept")
    promotions: tuple[Promotion, ...] = Field(
        description="Entries of the ledger on it, oldest first: attempts to let it serve, and operators' words"
    )
    notes: tuple[str, ...] = Field(description="What could not be read, and why, in sentences")


class SeenImage(Schema):
    """One place of an image in a version of a data set."""

    path: str = Field(description="Path of the image in the data set")
    label: str = Field(description="Its label")
    split: str = Field(description="Side of the split: train, val, test, scene or distractor")


class DataUse(Schema):
    """A registered version that some data went into."""

    model: str = Field(description="Name of the registered model")
    version: str = Field(description="Number of the version")
    release: str = Field(description="Id of its release")
    aliases: tuple[str, ...] = Field(description="Aliases of the version")
    serves: bool = Field(description="Whether it answers queries at the endpoint of this home now")
    data: str = Field(description="The version of the data set, as name@revision")
    trained: bool = Field(
        description="Whether the network was trained on it, or settings were chosen by it: splits train and val"
    )
    tested: bool = Field(description="Whether its figures were measured on it: splits test and scene")
    gallery: bool = Field(description="Whether its gallery holds it, so that an answer may name it")
    images: tuple[SeenImage, ...] = Field((), description="Places of the image that was asked for")


class DataUses(Schema):
    """The registered versions that some data went into."""

    asked: str = Field(description="MD5 of the image, or the data set's name or name@revision")
    uses: tuple[DataUse, ...] = Field(description="The versions, by model, newest first")
    unread: tuple[str, ...] = Field(description="Versions and data that could not be read, and why: they may have seen it too")
