"""A file that is sent along with a request."""

from typing import Annotated

from pydantic import AfterValidator, Base64Bytes, Field

from model.schemas.schema import Schema
from model.text import visible

MOST = 50
"""Maximum files of a request."""


class SentFile(Schema):
    """A file that is sent along, in JSON as base64."""

    name: Annotated[str, Field(max_length=255), AfterValidator(visible)] = Field(description="Its name, for people; never a path")
    data: Base64Bytes = Field(description="Its bytes")

    @classmethod
    def of(cls, name: str, data: bytes) -> "SentFile":
        """A file of bytes that are not encoded."""
        return cls.model_construct(name=visible(name), data=data)


Files = Annotated[tuple[SentFile, ...], Field(max_length=MOST)]
"""Some files. A job is given an argument of this type as files (`pipelines.jobs`)."""
