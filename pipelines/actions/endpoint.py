"""Actions on the endpoint: how it is, and versions that are tried beside the one that serves."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from model.schemas.challenge import Challenge, Mode, ServedChallenger, TriedOperation
from model.schemas.schema import Schema
from model.schemas.status import ServerStatus
from pipelines.actions.action import Caller, action

SHARES: dict[Mode, float] = {"shadow": 0.1, "canary": 0.05}
"""Share of the requests, or of the API keys, that a challenger gets if none is named."""


class Progress(Schema):
    """How a challenge goes."""

    challenger: ServedChallenger | None = Field(None, description="The version that is tried, and its terms; absent if none is")
    measured: dict[str, TriedOperation] = Field({}, description="What the gateway has counted and measured, by operation")


class EndedChallenge(Schema):
    """The end of a challenge."""

    ended: str | None = Field(description="Version that is no longer tried; absent if none was")


@action("GET", "/endpoint")
def show_endpoint(caller: Caller) -> ServerStatus:
    """The endpoint: whether it runs, what serves, and differences between the records."""
    from serving.reconcile import server_status

    return server_status(caller.environment.home, caller.environment.mlflow_uri)


@action("POST", "/models/{model}/versions/{version}/challenge", "operator")
def start_challenge(
    caller: Caller,
    model: str,
    version: str,
    mode: Mode,
    share: float | None = None,
    max_error_rate: float = 0.05,
    max_latency_ratio: float = 2.0,
    workers: Annotated[int, Field(ge=1, le=64)] = 1,
) -> ServedChallenger:
    """Try a version beside the one that serves: as a shadow on a share of the requests, as a canary on one of the API keys."""
    from serving.challenging import start_challenge as start

    terms = terms_of(mode, share, max_error_rate, max_latency_ratio)
    home, uri = caller.environment.home, caller.environment.mlflow_uri
    return start(version, terms, home=home, tracking_uri=uri, name=model, workers=workers)


def terms_of(mode: Mode, share: float | None = None, max_error_rate: float = 0.05, max_latency_ratio: float = 2.0) -> Challenge:
    """The terms of a challenge that starts now.

    Raises:
        InvalidInput: A share or a limit is out of range.
    """
    return Challenge.given(
        mode=mode,
        share=SHARES[mode] if share is None else share,
        max_error_rate=max_error_rate,
        max_latency_ratio=max_latency_ratio,
        started=datetime.now(UTC),
    )


@action("GET", "/models/{model}/challenge")
def show_challenge(caller: Caller, model: str) -> Progress:
    """The version that is tried beside the one that serves, and what was measured of it."""
    from serving import server
    from serving.challenge_progress import challenge_progress

    home = caller.environment.home
    status = server.status(home)
    challenger, served = status.challengers.get(model), status.models.get(model)
    if challenger is None or status.address is None:
        return Progress(challenger=challenger)
    champion = (served.default if served else None) or ""
    measured = challenge_progress(home.serve, status.address, model, version=challenger.version, champion=champion)
    return Progress(challenger=challenger, measured=measured)


@action("DELETE", "/models/{model}/challenge", "operator")
def end_challenge(caller: Caller, model: str) -> EndedChallenge:
    """End the shadow or canary of a model; the version that serves answers alone."""
    from serving.challenging import stop_challenge

    return EndedChallenge(ended=stop_challenge(caller.environment.home, model))
