"""Jobs that change what serves."""

from typing import Any

from model.errors import Conflict
from model.schemas.challenge import ServedChallenger
from model.schemas.promotion import Deployment
from pipelines.actions.action import Caller, check_reason
from pipelines.actions.endpoint import EndedChallenge, end_challenge, start_challenge, terms_of
from pipelines.actions.models import (
    Approved,
    approve_version,
    plan_promotion,
    promote_version,
    roll_back_version,
)
from pipelines.jobs.kind import Group, Outcome, kind
from serving.rollout.challengers import read_challengers

SERVING = Group(
    "serving",
    at_once=1,
    waits=False,
    rule="One change is made at a time: look how it ends, then decide.",
    meanwhile="What serves now serves on until the version has answered its golden queries.",
    failed="What served before serves on.",
    killed="What it had begun is completed or rolled back by the next look at the endpoint: glocal serve status.",
    lock=lambda home: home.serve.deploy_lock,
)


def _check_trial(caller: Caller, *, model: str, version: str, workers: int = 1, **terms: Any) -> None:
    """Raise what is wrong with the name of a version, or with the terms on which it is to be tried."""
    terms_of(**terms)
    plan_promotion(caller, model, version)


def _check_change(caller: Caller, *, model: str, version: str, why: str, **_: object) -> None:
    """Raise what is wrong with a change, as far as that is known before a version is loaded."""
    check_reason(why)
    plan_promotion(caller, model, version)


def _check_tried(caller: Caller, *, model: str) -> None:
    """Refuse to end what is not there."""
    if model not in read_challengers(caller.environment.home.serve.challengers):
        raise Conflict(f"No version of {model[:100]} is tried.", "It has been ended already.")


@kind("promote", SERVING, "promoting version {version} of {model}", promote_version, check=_check_change)
def promote(done: Deployment) -> Outcome:
    """A version was promoted."""
    return Outcome(f"Version {done.version} of {done.name} serves; it answered {done.golden} golden queries.")


@kind("rollback", SERVING, "rolling {model} back to version {version}", roll_back_version, check=_check_change)
def roll_back(done: Deployment) -> Outcome:
    """The version before serves again."""
    return Outcome(f"Version {done.version} of {done.name} serves again; it answered {done.golden} golden queries.")


@kind("approve", SERVING, "approving version {version} of {model}", approve_version, check=_check_change)
def approve(came: Approved) -> Outcome:
    """A version was approved, and serves if that was the last approval that it needed."""
    said, done = came.said, came.promoted
    approved = f"{said.model} version {said.version} is approved by {', '.join(said.approved)}"
    if done is not None:
        return Outcome(f"{approved}, and serves; it answered {done.golden} golden queries.")
    if said.refused:
        return Outcome(f"{approved}; it does not serve, as {', '.join(said.refused)} refused it.")
    return Outcome(f"{approved}; {said.missing} more must approve it.")


@kind("challenge", SERVING, "starting version {version} of {model} as {mode}", start_challenge, check=_check_trial)
def challenge(begun: ServedChallenger) -> Outcome:
    """A version is tried beside the one that serves."""
    return Outcome(f"Version {begun.version} is tried as {begun.challenge.mode}.")


@kind("end-challenge", SERVING, "ending the trial of {model}", end_challenge, check=_check_tried)
def stop_challenge(done: EndedChallenge) -> Outcome:
    """The trial of a model has ended."""
    return Outcome(f"Version {done.ended} is no longer tried." if done.ended else "No version was tried.")
