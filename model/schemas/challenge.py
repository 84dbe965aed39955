"""A challenge: on which terms a version is served beside the one that serves, and how it stands."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from model.schemas.schema import Schema

Mode = Literal["shadow", "canary"]


class Challenge(Schema):
    """The terms of a challenge.

    As a shadow the challenger is asked a share of the requests as well, and its answers are compared and never returned. As a
    canary it answers the requests of a share of the API keys.
    """

    mode: Mode = Field(description="What the challenger does")
    share: float = Field(ge=0, le=1, description="Share of the requests (shadow) or of the API keys (canary)")
    max_error_rate: float = Field(0.05, ge=0, le=1, description="Share of failed requests above which it is aborted")
    max_latency_ratio: float = Field(2.0, gt=0, description="Latency, as a multiple of the champion's, above which it is aborted")
    started: datetime = Field(description="When it was started")


class Aborted(Schema):
    """Why the gateway aborted a challenge."""

    version: str = Field(description="Version of the challenger")
    started: datetime = Field(description="When the challenge was started")
    reason: str = Field(description="What was measured, in a sentence")


class ServedChallenger(Schema):
    """A challenger at the server."""

    version: str = Field(description="Its version")
    challenge: Challenge = Field(description="Its terms")
    ready: bool = Field(description="Whether one of its workers answers")
    aborted: str = Field("", description="Why the gateway does not ask it any more; empty while it does")


class TriedOperation(Schema):
    """What the gateway has counted and measured of one operation while a version is tried."""

    answered: int = Field(0, description="Requests that the challenger answered")
    failed: int = Field(0, description="Requests that it failed")
    skipped: int = Field(0, description="Requests that were not mirrored because too many were")
    compared: int = Field(0, description="Answers that were compared with the champion's; only a shadow's are")
    agreement: float | None = Field(None, description="Mean agreement of its answers with the champion's, 0 to 1")
    shift: float | None = Field(
        None, description="Median of its best score less the champion's, as precise as the buckets that it is counted in"
    )
    seconds: float | None = Field(None, description="Mean time of its answers")
    champion_seconds: float | None = Field(None, description="Mean time of the champion's answers meanwhile")
