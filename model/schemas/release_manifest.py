"""The manifest of a release, as manifest.json holds it."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from model.files import sha256_json, write_text
from model.schemas.data_pin import DataPin
from model.schemas.document import Document
from model.schemas.schema import Schema

RELEASE_MANIFEST = "manifest.json"
"""Name of the manifest's file in a release."""


class StoredFile(Schema):
    """One file of a release."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the file's bytes")
    size: int = Field(ge=0, description="Number of bytes")


class ReleaseManifest(Document):
    """The parts of a release. The id of a release is a hash of the whole manifest, so that a change of any field is noticed."""

    REMEDY: ClassVar[str] = "Fetch the release again, or run the pipeline again."
    format: Literal[2] = 2
    embedding_space_id: str = Field(description="Id of the weights, configuration and preprocessing")
    data: DataPin = Field(description="Pin of the data that the network was trained on")
    gallery: tuple[DataPin, ...] | None = Field(
        None, description="Pins of the data that the gallery comes from, where images were enrolled or removed; absent: of `data`"
    )
    code_revision: str = Field(description="Revision of the code that made the release")
    files: dict[str, StoredFile] = Field(description="All other files of the release by their paths")

    def save(self, path: Path) -> None:
        """Write to `path` atomically. A field that says nothing is left out, so that earlier code can read what it knows."""
        write_text(path, self.model_dump_json(indent=2, exclude_none=True) + "\n")

    def stated(self) -> dict[str, Any]:
        """The manifest as a JSON object with its stated fields, without defaults of other fields."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def gallery_pins(self) -> tuple[DataPin, ...]:
        """Pins of the data that the gallery comes from: `gallery`, else `data`."""
        return (self.data,) if self.gallery is None else self.gallery

    @property
    def release_id(self) -> str:
        """Id of the release."""
        return sha256_json(self.stated())[:16]
