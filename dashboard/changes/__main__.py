"""The process of one change: `python -m dashboard.changes FOLDER`."""

import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from dashboard.changes.state import CHANGE, ENDED, Change, Ended
from model.environment import Environment, prepare_process
from model.errors import GlocalError
from model.home import Home


def main() -> None:
    """Make the change of a folder, and write how it ended."""
    folder, environment = Path(sys.argv[1]), Environment()
    prepare_process(environment.home)
    try:
        change = Change.load(folder / CHANGE)
        said = _WORK[change.kind](change, environment.home, environment.mlflow_uri)
        ended = Ended(at=datetime.now(UTC), succeeded=True, headline=said)
    except GlocalError as error:
        ended = Ended(at=datetime.now(UTC), succeeded=False, headline=error.headline, hint=error.hint)
    except Exception as error:
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        ended = Ended(at=datetime.now(UTC), succeeded=False, headline=said, hint=f"The trace is in {folder / 'log'}.")
    ended.save(folder / ENDED)


def _promote(change: Change, home: Home, tracking_uri: str) -> str:
    from serving.promotion import promote

    done = promote(
        change.version,
        home=home,
        tracking_uri=tracking_uri,
        name=change.model,
        by=change.by,
        why=change.why,
        replace_other_data=change.replace_other_data,
        instead_of=change.before,
    )
    return f"Version {done.version} of {done.name} serves; it answered {done.golden} golden queries."


def _roll_back(change: Change, home: Home, tracking_uri: str) -> str:
    from serving.rollout.ahead import previous_ahead

    with previous_ahead(home, change.model) as locked:
        from serving.promotion import promote  # while the version is being loaded

        done = promote(
            change.version,
            home=home,
            tracking_uri=tracking_uri,
            name=change.model,
            by=change.by,
            why=change.why,
            replace_other_data=True,  # it served before, whatever its data
            instead_of=change.before,
            locked=locked,
        )
    return f"Version {done.version} of {done.name} serves again; it answered {done.golden} golden queries."


def _approve(change: Change, home: Home, tracking_uri: str) -> str:
    from serving.promotion import approve

    said, done = approve(
        change.version,
        home=home,
        tracking_uri=tracking_uri,
        name=change.model,
        by=change.by,
        why=change.why,
        replace_other_data=change.replace_other_data,
        instead_of=change.before,
    )
    approved = f"{said.model} version {said.version} is approved by {', '.join(said.approved)}"
    if done is not None:
        return f"{approved}, and serves; it answered {done.golden} golden queries."
    if said.refused:
        return f"{approved}; it does not serve, as {', '.join(said.refused)} refused it."
    return f"{approved}; {said.missing} more must approve it."


def _challenge(change: Change, home: Home, tracking_uri: str) -> str:
    from model.schemas.challenge import Challenge
    from serving.challenging import start_challenge

    terms = Challenge(
        mode=change.mode,
        share=change.share,
        max_error_rate=change.max_error_rate,
        max_latency_ratio=change.max_latency_ratio,
        started=datetime.now(UTC),
    )
    begun = start_challenge(
        change.version, terms, home=home, tracking_uri=tracking_uri, name=change.model, workers=change.workers
    )
    return f"Version {begun.version} of {change.model} is tried as {change.mode}."


def _end(change: Change, home: Home, tracking_uri: str) -> str:
    from serving.challenging import stop_challenge

    ended = stop_challenge(home, change.model)
    return f"Version {ended} of {change.model} is no longer tried." if ended else f"No version of {change.model} was tried."


_WORK = {"promote": _promote, "rollback": _roll_back, "approve": _approve, "challenge": _challenge, "end": _end}

if __name__ == "__main__":
    main()
