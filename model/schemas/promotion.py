"""Entries of the ledger of promotions, and the result of a deployment."""

from typing import Literal, get_args

from pydantic import Field

from model.schemas.schema import Schema

Word = Literal["approved", "refused"]
"""What an operator says of a version."""
PromotionOutcome = Literal["begun", "promoted", "failed", "killed", "approved", "refused"]


class Promotion(Schema):
    """An entry of the ledger: one attempt to change the served version, or an operator's word on a version."""

    id: str = Field(description="Id of the ledger's run")
    model: str = Field(description="Name of the registered and served model")
    when: int = Field(description="Time of its begin in milliseconds since 1970")
    by: str = Field(description="Name of the person who asked for it")
    why: str = Field(description="Reason that was given, and what failed")
    before: str = Field(description="Version that was champion before; empty if there was none")
    version: str = Field(description="Version that was to serve")
    release: str = Field(description="Id of that version's release")
    outcome: PromotionOutcome = Field(
        description="How it ended; begun: it has not; killed: it was stopped before the version was verified. Or the word"
    )
    place: str = Field("", description="Machine and GLOCAL_HOME that served")
    ended: int | None = Field(
        None, description="Time at which it ended, in milliseconds since 1970; of a promotion: since when the version serves"
    )
    evidence: str = Field("", description="SHA-256 of the report and the decision that a word is on; else empty")
    kept: bool = Field(True, description="Whether the ledger's file has it; entries of earlier revisions are in MLflow alone")

    @property
    def label(self) -> str:
        """The change for people."""
        if self.outcome in get_args(Word):
            return f"{self.model} version {self.version}"
        return f"{self.model} {self.before or 'nothing'} to {self.version}"


class Service(Schema):
    """A time span in which one version of a model served."""

    version: str = Field(description="The version")
    begun: int = Field(description="When it began to serve, in milliseconds since 1970")
    ended: int | None = Field(description="When the next version took its place; None if it is the last one that was promoted")
    promotion: Promotion = Field(description="The promotion by which it served")


class Deployment(Schema):
    """The served version after a deployment."""

    address: str = Field(description="Address of the endpoint for queries")
    name: str = Field(description="Name of the served model")
    version: str = Field(description="Version that serves")
    release: str = Field(description="Id of the release that answers")
    embedding_space_id: str = Field(description="Embedding space of the answers")
    golden: int = Field(description="Number of golden queries that were replayed")
