"""What is known of errands: their records, their processes, and how far they have come."""

import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, ValidationError

from model.claim import claim
from model.errors import Conflict, InvalidInput, NotFound
from model.files import read_json, write_json
from model.home import Home
from model.locks import hold
from model.schemas.document import Document
from model.schemas.run_event import RunEvent
from model.schemas.schema import Schema
from serving.processes import command_line, start_detached

KEPT = 50
"""Errands that are kept after they have ended."""
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
RECORD, EVENTS, END = "errand.json", "events.jsonl", "ended.json"
WAIT = "wait"
"""The step of an errand that waits for another one."""
_PROCESS = "process.json"
Kind = Literal["enrol", "revise"]
State = Literal["running", "succeeded", "rejected", "awaiting", "failed", "killed"]


class Errand(Document):
    """What is to be done."""

    REMEDY: ClassVar[str] = "Ask for it again."
    format: Literal[1] = 1
    id: str = Field(description="Id of the errand")
    kind: Kind = Field(description="enrol: images of an object; revise: corrections into a data set")
    title: str = Field(description="What is done, for people")
    by: str = Field(description="Name of who asked for it")
    at: AwareDatetime = Field(description="When")
    arguments: dict[str, Any] = Field(description="Arguments of that kind")


class Ended(Document):
    """How an errand ended."""

    REMEDY: ClassVar[str] = "Ask for it again."
    format: Literal[1] = 1
    at: AwareDatetime = Field(description="When")
    state: State = Field(description="How")
    reasons: tuple[str, ...] = Field((), description="Why it failed or was refused, a line each")
    hint: str = Field("", description="What to do about it")
    made: dict[str, Any] = Field({}, description="What it made")


class Step(Schema):
    """How far a step has come."""

    name: str = Field(description="Name of the step")
    state: Literal["running", "succeeded", "failed", "cached", "waiting"] = Field(description="State of the step")
    text: str = Field("", description="Its last progress, or what went wrong")
    done: int = Field(0, description="Units of work that are done")
    total: int = Field(0, description="Units in all; 0 if that is not known")
    seconds: float | None = Field(None, description="Its duration, once it has ended")


@dataclass(frozen=True)
class Progress:
    """An errand and how far it has come.

    Attributes:
        errand: The errand.
        state: Its state: `killed` if its process is gone and did not say how it ended.
        steps: Its steps in the order in which they began.
        warnings: What it warned of.
        ended: How it ended; None if it has not, or was killed.
    """

    errand: Errand
    state: State
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    ended: Ended | None


def new_id() -> str:
    """An id for an errand. A form that holds one is one errand, however often it is sent."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def begin_errand(
    home: Home,
    kind: Kind,
    title: str,
    arguments: dict[str, Any],
    *,
    by: str,
    images: Mapping[str, bytes] | None = None,
    errand_id: str = "",
) -> Errand:
    """Begin an errand in a process of its own; returns at once. The same id twice is one errand.

    Args:
        home: GLOCAL_HOME.
        kind: What is to be done.
        title: The same for people.
        arguments: Arguments of that kind.
        by: Name of who asks for it.
        images: Image files that it is given, by name.
        errand_id: Its id, made by `new_id`; empty: a new one.

    Raises:
        InvalidInput: This is no id.
        Conflict: The id is that of another errand.
    """
    errand_id = errand_id or new_id()
    if not _ID.fullmatch(errand_id):
        raise InvalidInput("This form cannot be sent.", "Load the page again, and send it once more.")
    root = claim(home).dashboard.errands
    folder = root / errand_id
    with hold(root / ".begin"):
        if (folder / RECORD).is_file():
            return _same(Errand.load(folder / RECORD), kind, arguments)
        _tidy(root)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for name, data in (images or {}).items():
            (folder / "images" / name).write_bytes(data)
        errand = Errand(id=errand_id, kind=kind, title=title, by=by, at=datetime.now(UTC), arguments=arguments)
        errand.save(folder / RECORD)
        process = start_detached(
            [sys.executable, "-m", "pipelines.errands", str(folder)],
            folder=home.root,
            environment={**os.environ, "GLOCAL_HOME": str(home.root), "GLOCAL_USER": by, "PYTHONPATH": _code()},
            log=folder / "log",
            umask=-1,
        )
        write_json(folder / _PROCESS, {"pid": process.pid})
    return errand


def _same(errand: Errand, kind: Kind, arguments: dict[str, Any]) -> Errand:
    """The errand that was begun, if the same is asked for."""
    if (errand.kind, errand.arguments) != (kind, arguments):
        raise Conflict("This form was sent before, with other values.", "Send it once more from this page.")
    return errand


def _code() -> str:
    """The path by which the process finds this code from another folder."""
    return os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])


def errand_progress(home: Home, errand_id: str) -> Progress:
    """An errand and how far it has come.

    Raises:
        NotFound: There is none of this id.
    """
    folder = home.dashboard.errands / errand_id
    if not _ID.fullmatch(errand_id) or not (folder / RECORD).is_file():
        raise NotFound("There is no such work.", f"The latest {KEPT} are kept.")
    alive = _lives(folder)  # before the end is looked for, so that no end falls between the two
    ended = Ended.load_if_there(folder / END)
    state: State = ended.state if ended else "running" if alive else "killed"
    steps, warnings = _steps(folder, state)
    return Progress(Errand.load(folder / RECORD), state, steps, warnings, ended)


def errands(home: Home, kind: str = "") -> list[Progress]:
    """The errands of a kind, newest first."""
    folders = sorted(home.dashboard.errands.glob("[0-9]*"), reverse=True)
    found = [errand_progress(home, each.name) for each in folders if (each / RECORD).is_file()]
    return [each for each in found if not kind or each.errand.kind == kind]


def _steps(folder: Path, state: State) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The steps and the warnings that an errand has reported."""
    steps: dict[str, Step] = {}
    warnings: list[str] = []
    for event in _events(folder / EVENTS):
        match event.event:
            case "warning" | "defect":
                warnings.append(event.text)
            case "progress":
                steps[event.step] = Step(
                    name=event.step, state="running", text=event.text, done=event.done or 0, total=event.total or 0
                )
            case "started":
                steps[event.step] = Step(name=event.step, state="waiting" if event.step == WAIT else "running")
            case "finished" if event.step == WAIT:
                steps.pop(WAIT, None)
            case "finished":
                steps[event.step] = Step(name=event.step, state="succeeded", seconds=event.seconds)
            case "cached":
                steps[event.step] = Step(name=event.step, state="cached")
            case "failed":
                steps[event.step] = Step(name=event.step, state="failed", text=event.headline)
    if state != "running":  # what was under way has ended with its process
        steps = {
            name: step.model_copy(update={"state": "failed"}) if step.state == "running" else step for name, step in steps.items()
        }
    return tuple(steps.values()), tuple(warnings)


def _events(file: Path) -> list[RunEvent]:
    """The events that were written whole."""
    found = []
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        try:
            found.append(RunEvent.model_validate_json(line))
        except ValidationError:
            continue
    return found


def _lives(folder: Path) -> bool:
    try:
        return str(folder) in command_line(int(read_json(folder / _PROCESS)["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return time.time() - folder.stat().st_mtime < 5  # its process is about to be noted


def _tidy(root: Path) -> None:
    """Remove the oldest errands, and the images of those that were killed."""
    folders = sorted(root.glob("[0-9]*"), reverse=True)
    for number, folder in enumerate(folders):
        if not _lives(folder):
            shutil.rmtree(folder / "images", ignore_errors=True)
            if number >= KEPT:
                shutil.rmtree(folder, ignore_errors=True)
