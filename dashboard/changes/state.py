"""What is known of changes: what was asked for, whether its process lives, and how it ended."""

import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from model.claim import claim
from model.errors import Conflict, InvalidInput, NotFound
from model.files import read_json, write_json
from model.home import Home
from model.locks import hold, is_held
from model.schemas.challenge import Mode
from model.schemas.document import Document
from serving.processes import command_line, start_detached

KEPT = 50
"""Changes that are kept after they have ended."""
CHANGE, ENDED = "change.json", "ended.json"
_PROCESS = "process.json"
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{16}")
_KEY = re.compile(r"[0-9a-f]{16}")
_START_S = 10.0
_WAIT_S = 10.0
Kind = Literal["promote", "rollback", "approve", "challenge", "end"]
State = Literal["running", "succeeded", "failed", "killed"]


class Change(Document):
    """What is to change."""

    REMEDY: ClassVar[str] = "Ask for it again."
    format: Literal[1] = 1
    id: str = Field(description="Id of the change")
    kind: Kind = Field(description="What is done; challenge: a version is tried beside the one that serves; end: no longer")
    model: str = Field(description="Name of the model")
    version: str = Field(description="Version that is to serve, is approved or is tried")
    before: str = Field("", description="Version that was champion when it was asked for; empty if there was none")
    by: str = Field(description="Name of who asked for it")
    why: str = Field("", description="The reason")
    at: AwareDatetime = Field(description="When it was asked for")
    replace_other_data: bool = Field(False, description="Whether the champion may be of another data set")
    mode: Mode = Field("shadow", description="Of a challenge: what the challenger does")
    share: float = Field(0.1, description="Of a challenge: share of the requests or of the keys")
    max_error_rate: float = Field(0.05, description="Of a challenge: share of failed requests above which it is aborted")
    max_latency_ratio: float = Field(2.0, description="Of a challenge: multiple of the champion's latency")
    workers: int = Field(1, description="Of a challenge: number of worker processes")

    @property
    def doing(self) -> str:
        """What is being done, for people."""
        named = f"version {self.version} of {self.model}"
        return {
            "promote": f"promoting {named}",
            "rollback": f"rolling {self.model} back to version {self.version}",
            "approve": f"approving {named}",
            "challenge": f"starting {named} as {self.mode}",
            "end": f"ending the trial of {named}",
        }[self.kind]


class Ended(Document):
    """How a change ended."""

    REMEDY: ClassVar[str] = "Ask for it again."
    format: Literal[1] = 1
    at: AwareDatetime = Field(description="When")
    succeeded: bool = Field(description="Whether it succeeded")
    headline: str = Field(description="What is so now, or what went wrong")
    hint: str = Field("", description="What to do about it")


@dataclass(frozen=True)
class Standing:
    """A change and how it stands.

    Attributes:
        change: The change.
        state: `killed` if its process is gone and did not say how it ended.
        ended: How it ended; None if it has not, or was killed.
    """

    change: Change
    state: State
    ended: Ended | None

    @property
    def runs(self) -> bool:
        """Whether it is under way."""
        return self.state == "running"


def begin_change(home: Home, key: str, kind: Kind, model: str, version: str, **asked: object) -> Change:
    """Begin a change in a process of its own; returns at once. The same key twice is one change.

    Args:
        home: GLOCAL_HOME.
        key: Key of the form that asked for it: 16 hexadecimal digits.
        kind: What is done.
        model: Name of the model.
        version: The version.
        asked: The other fields of `Change`.

    Raises:
        InvalidInput: The key is none.
        Conflict: Another change is under way.
    """
    if not _KEY.fullmatch(key):
        raise InvalidInput("The form has no key.", "Load the page again, and send it once more.")
    root = claim(home).dashboard.changes
    with hold(root / ".lock", wait_s=_WAIT_S, busy="Another change is being asked for."):
        if (known := next(iter(root.glob(f"*-{key}")), None)) is not None:
            return Change.load(known / CHANGE)
        refuse_second(home)
        _tidy(root)
        at = datetime.now(UTC)
        change = Change.model_validate(
            {"id": f"{at:%Y%m%dT%H%M%S}-{key}", "kind": kind, "model": model, "version": version, "at": at, **asked}
        )
        folder = root / change.id
        folder.mkdir(parents=True)
        change.save(folder / CHANGE)
        process = start_detached(
            [sys.executable, "-m", "dashboard.changes", str(folder)],
            folder=home.root,
            environment={**os.environ, "GLOCAL_HOME": str(home.root), "PYTHONPATH": str(Path(__file__).parents[2])},
            log=folder / "log",
        )
        write_json(folder / _PROCESS, {"pid": process.pid})
    return change


def refuse_second(home: Home) -> None:
    """Refuse a change while another one is under way.

    Raises:
        Conflict: One is, of the dashboard or of another process.
    """
    if (other := under_way(home)) is not None:
        raise Conflict(
            f"{other.change.by} is {other.change.doing}, since {other.change.at:%H:%M:%S} UTC.",
            "One change is made at a time: look how it ends, then decide.",
        )
    if is_held(home.serve.deploy_lock):
        raise Conflict("Another deployment is under way, of a run or of the command line.", "Try again when it has finished.")


def standing(home: Home, change_id: str) -> Standing:
    """A change and how it stands.

    Raises:
        NotFound: There is none of this id.
    """
    folder = home.dashboard.changes / change_id
    if not _ID.fullmatch(change_id) or not (folder / CHANGE).is_file():
        raise NotFound("There is no such change.", f"The latest {KEPT} are kept; the history has all that served.")
    lives = _lives(folder)  # before the end is looked for, so that no end falls between the two
    ended = Ended.load(folder / ENDED) if (folder / ENDED).is_file() else None
    state: State = ("succeeded" if ended.succeeded else "failed") if ended else "running" if lives else "killed"
    return Standing(Change.load(folder / CHANGE), state, ended)


def under_way(home: Home) -> Standing | None:
    """The change that is under way; None if there is none."""
    return next((each for each in latest_changes(home, 3) if each.runs), None)


def latest_changes(home: Home, count: int) -> list[Standing]:
    """The latest changes, newest first."""
    folders = sorted(home.dashboard.changes.glob("[0-9]*"), reverse=True)[:count]
    return [standing(home, each.name) for each in folders if (each / CHANGE).is_file()]


def _lives(folder: Path) -> bool:
    try:
        return str(folder) in command_line(int(read_json(folder / _PROCESS)["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return time.time() - folder.stat().st_mtime < _START_S  # its process is about to be noted


def _tidy(root: Path) -> None:
    """Remove the oldest changes."""
    for folder in sorted(root.glob("[0-9]*"), reverse=True)[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
