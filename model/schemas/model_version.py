"""A registered model version: one release and its evidence."""

from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema

Alias = Literal["challenger", "champion", "previous"]


class ModelVersion(Schema):
    """One version of a registered model."""

    model: str = Field(description="Name of the registered model")
    version: str = Field(description="The version's number")
    created: int = Field(description="When it was registered, in milliseconds since 1970")
    aliases: tuple[str, ...] = Field((), description="Aliases that point at it")
    release: str = Field("", description="Id of the release")
    embedding_space_id: str = Field("", description="Embedding space of the release")
    data_name: str = Field("", description="Name of the data set; empty for versions of before it was recorded")
    data_md5: str = Field("", description="Hash of the data set's version")
    data_rev: str = Field("", description="Commit of the data set's version")
    code_revision: str = Field("", description="Code that made the release")
    figures: dict[str, float] = Field({}, description="Figures of the report by name")
    run_id: str = Field("", description="The run that made it")

    @property
    def label(self) -> str:
        """Name and version for people."""
        return f"{self.model} version {self.version}"
