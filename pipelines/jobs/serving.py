"""Jobs that change what serves."""

from datetime import UTC, datetime

from model.schemas.challenge import Mode
from pipelines.actions.action import Caller
from pipelines.jobs.kind import Group, Outcome, Work, kind

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


@kind("promote", SERVING, "promoting version {version} of {model}")
def promote(work: Work, *, model: str, version: str, before: str, replace_other_data: bool = False) -> Outcome:
    """Promote a version, as `glocal promote` does.

    Args:
        work: Who asks, and why.
        model: Name of the model.
        version: The version.
        before: Version that was champion when it was asked for; empty if there was none.
        replace_other_data: Whether the champion may be of another data set.
    """
    from pipelines.actions.models import promote_version

    done = promote_version(_caller(work), model, version, work.why, replace_other_data, instead_of=before)
    return Outcome(f"Version {done.version} of {done.name} serves; it answered {done.golden} golden queries.")


@kind("rollback", SERVING, "rolling {model} back to version {version}")
def roll_back(work: Work, *, model: str, version: str, before: str) -> Outcome:
    """Bring the previous version back, as `glocal rollback` does; arguments as those of `promote`."""
    from serving.rollout.ahead import previous_ahead

    with previous_ahead(work.environment.home, model) as locked:
        from serving.promotion import promote  # while the version is being loaded

        done = promote(
            version,
            home=work.environment.home,
            tracking_uri=work.environment.mlflow_uri,
            name=model,
            by=work.by,
            why=work.why,
            replace_other_data=True,  # it served before, whatever its data
            instead_of=before,
            locked=locked,
        )
    return Outcome(f"Version {done.version} of {done.name} serves again; it answered {done.golden} golden queries.")


@kind("approve", SERVING, "approving version {version} of {model}")
def approve(work: Work, *, model: str, version: str, before: str, replace_other_data: bool = False) -> Outcome:
    """Approve a version, which serves with the last approval that it needs; arguments as those of `promote`."""
    from pipelines.actions.models import approve_version

    came = approve_version(_caller(work), model, version, work.why, replace_other_data, instead_of=before)
    said, done = came.said, came.promoted
    approved = f"{said.model} version {said.version} is approved by {', '.join(said.approved)}"
    if done is not None:
        return Outcome(f"{approved}, and serves; it answered {done.golden} golden queries.")
    if said.refused:
        return Outcome(f"{approved}; it does not serve, as {', '.join(said.refused)} refused it.")
    return Outcome(f"{approved}; {said.missing} more must approve it.")


@kind("challenge", SERVING, "starting version {version} of {model} as {mode}")
def challenge(
    work: Work,
    *,
    model: str,
    version: str,
    mode: Mode,
    share: float,
    max_error_rate: float,
    max_latency_ratio: float,
    workers: int,
) -> Outcome:
    """Try a version beside the one that serves, as `glocal serve shadow` and `canary` do; terms as those of `Challenge`."""
    from model.schemas.challenge import Challenge
    from serving.challenging import start_challenge

    terms = Challenge(
        mode=mode,
        share=share,
        max_error_rate=max_error_rate,
        max_latency_ratio=max_latency_ratio,
        started=datetime.now(UTC),
    )
    home, uri = work.environment.home, work.environment.mlflow_uri
    begun = start_challenge(version, terms, home=home, tracking_uri=uri, name=model, workers=workers)
    return Outcome(f"Version {begun.version} of {model} is tried as {mode}.")


@kind("end-challenge", SERVING, "ending the trial of version {version} of {model}")
def end_challenge(work: Work, *, model: str, version: str) -> Outcome:
    """End the trial of a model, as `glocal serve end` does; `version` is the one that was tried when it was asked for."""
    from serving.challenging import stop_challenge

    ended = stop_challenge(work.environment.home, model)
    return Outcome(f"Version {ended} of {model} is no longer tried." if ended else f"No version of {model} was tried.")


def _caller(work: Work) -> Caller:
    return Caller(work.environment, work.by)
