"""The pin, which names one version of one data set."""

import re
from typing import Any

from pydantic import Field, ValidationError, field_validator

from model.errors import InvalidInput
from model.redaction import without_credentials
from model.schemas.schema import Schema

DATASET_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
"""Pattern of a data set's name."""


class DataPin(Schema):
    """One version of one data set."""

    repo: str = Field(description="The data repository: a folder or a git address")
    rev: str = Field(pattern=r"^[0-9a-f]{40}$", description="The full commit")
    path: str = Field(description="The data set's folder in the repository, which is its name")
    md5: str = Field(pattern=r"^[0-9a-f]{32}$", description="DVC's hash of that folder, without `.dir`")
    files: int = Field(ge=0, description="Number of files: the images and the manifest")
    bytes: int = Field(ge=0, description="Size of all files together")
    classes: int = Field(ge=0, description="Number of classes")
    licence: str = Field("", description="Terms of the data as stated at the import; empty if none were stated")
    dropped: dict[str, int] = Field(default_factory=dict, description="Number of samples that the import left out, by reason")

    @field_validator("repo")
    @classmethod
    def _without_credentials(cls, repo: str) -> str:
        return without_credentials(repo)

    @field_validator("path")
    @classmethod
    def _name(cls, path: str) -> str:
        if not DATASET_NAME.fullmatch(path):
            raise ValueError("this is no name of a data set")
        return path

    @property
    def named(self) -> str:
        """Name of the data set and start of its revision for people, such as `demo@4f2c1ab`."""
        return f"{self.path}@{self.rev[:7]}"

    @property
    def images(self) -> int:
        """Number of images: all files but the manifest."""
        return max(self.files - 1, 0)

    def to_json(self) -> dict[str, Any]:
        """The pin as a JSON object."""
        return self.model_dump()

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "DataPin":
        """The pin that `to_json` returned. Whole numbers may be floats, as KFP passes them.

        Raises:
            InvalidInput: The value is no pin.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"This is no data pin: {name}: {first['msg']}.", "Import the data again.") from error
