"""Entries of the ledger of promotions, and what a deployment came to."""

from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema

PromotionOutcome = Literal["begun", "promoted", "failed", "killed"]


class Promotion(Schema):
    """One attempt to change what serves."""

    id: str = Field(description="The ledger's run")
    model: str = Field(description="Name of the registered and served model")
    when: int = Field(description="When it began, in milliseconds since 1970")
    by: str = Field(description="Who asked for it")
    why: str = Field(description="The reason given, and what failed")
    before: str = Field(description="The version that was champion before; empty if there was none")
    version: str = Field(description="The version that was to serve")
    release: str = Field(description="Id of that version's release")
    outcome: PromotionOutcome = Field(description="How it ended; begun: under way; killed: cut short before it had verified")
    place: str = Field("", description="The machine and the GLOCAL_HOME that served")


class Deployment(Schema):
    """What serves after a deployment."""

    address: str = Field(description="Where queries go")
    name: str = Field(description="Name of the served model")
    version: str = Field(description="The version that serves")
    release: str = Field(description="Id of the release that answers")
    embedding_space_id: str = Field(description="Embedding space of the answers")
    golden: int = Field(description="Number of golden queries that were replayed")
