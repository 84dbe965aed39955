"""A registered model version: one release and its evidence."""

from typing import Literal

from pydantic import Field

from model.schemas.approval import ApprovalRule
from model.schemas.schema import Schema

Alias = Literal["challenger", "champion", "previous"]
Interval = tuple[float, float]
"""Lower and upper bound of a figure."""


class ModelVersion(Schema):
    """One version of a registered model."""

    model: str = Field(description="Name of the registered model")
    version: str = Field(description="Number of the version")
    created: int = Field(description="Time of registration in milliseconds since 1970")
    aliases: tuple[str, ...] = Field((), description="Aliases of the version")
    release: str = Field("", description="Id of the release")
    embedding_space_id: str = Field("", description="Embedding space of the release")
    data_name: str = Field("", description="Name of the data set; empty for versions that do not record it")
    data_md5: str = Field("", description="Hash of the data set's version")
    data_rev: str = Field("", description="Commit of the data set's version")
    code_revision: str = Field("", description="Revision of the code that made the release")
    figures: dict[str, float] = Field({}, description="Figures of the report by name")
    intervals: dict[str, Interval] = Field(
        {}, description="Intervals of the figures by name, as far as the report has them; empty for versions of earlier revisions"
    )
    run_id: str = Field("", description="Id of the run that made the version")
    removed: bool = Field(False, description="Whether housekeeping removed its files; the record stays")
    signed: bool | None = Field(
        None, description="Whether a signature is stored with it, which is checked when it is loaded; None: not recorded"
    )
    starter: str = Field("", description="Who started that run")
    evidence_sha256: str = Field("", description="SHA-256 of the report and the decision as they were registered")
    approval: ApprovalRule | None = Field(None, description="Whose word it needs before it serves; None: nobody's")
    base_version: str = Field("", description="Version whose gallery was changed to make this one; empty if it was trained")

    @property
    def label(self) -> str:
        """Name and version for people."""
        return f"{self.model} version {self.version}"
