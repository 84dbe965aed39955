"""The manifest of a release: what manifest.json holds."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from model.schemas.data_pin import DataPin
from model.schemas.document import Document
from model.schemas.schema import Schema


class StoredFile(Schema):
    """One file of a release."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of its bytes")
    size: int = Field(ge=0, description="Number of bytes")


class ReleaseManifest(Document):
    """What a release is made of. The id of a release is a hash of all of it, so no field can change unnoticed."""

    REMEDY: ClassVar[str] = "Fetch the release again, or run the pipeline again."
    format: Literal[2] = 2
    embedding_space_id: str = Field(description="Id of the weights, configuration and preprocessing")
    data: DataPin = Field(description="The data it was made from")
    code_revision: str = Field(description="Code that made it")
    files: dict[str, StoredFile] = Field(description="Every other file of the release, by its path")

    def stated(self) -> dict[str, Any]:
        """The manifest as JSON, with the fields that it states and no defaults beside them."""
        return self.model_dump(mode="json", exclude_unset=True)
