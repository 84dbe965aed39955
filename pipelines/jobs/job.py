"""A job on disk: begun, found, ended. Its folder says what was asked for, how far it is, and what became of it."""

import contextlib
import hashlib
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import psutil
from pydantic import AwareDatetime, Field

from model.claim import claim
from model.disk import disk_error, disk_errors
from model.errors import Conflict, GlocalError, InvalidInput, NotFound, Unavailable
from model.files import read_json, read_mapping, sha256_json, write_json
from model.home import ALIVE, Home
from model.locks import hold, is_held, lend
from model.schemas.document import Document
from model.schemas.unreadable import Unreadable, read_or_note
from pipelines.jobs.kind import Asked, Group, Kind
from pipelines.jobs.kinds import KINDS
from pipelines.jobs.status import REMEDY, Ended, JobState, JobStatus, Step
from serving.processes import command_line, end_processes, own_environment, start_detached

KEPT = 100
"""Jobs of a group that are kept, the latest."""
RECORD, PROGRESS, RESULT, ENDED, FILES, LOG = "job.json", "progress.json", "result.json", "ended.json", "files", "log"
WAIT = "wait"
"""The step of a job that waits for its turn."""
_PROCESS, _LOCK = "process.json", ".lock"
_ID = re.compile(r"\d{8}T\d{9}-([a-z-]{1,30})-([0-9a-f]{16})")
_KEY = re.compile(r"[0-9a-f]{16}")
_LOCK_S, _END_S = 10.0, 20.0
"""Seconds to wait for another one to be begun, and for one to end."""
_AGAIN = ("failed", "killed")
"""States after which the same job may be begun anew."""


class JobRecord(Document):
    """What is to be done."""

    REMEDY: ClassVar[str] = REMEDY
    format: Literal[1] = 1
    kind: str = Field(description="Name of its kind")
    arguments: dict[str, Any] = Field(description="Arguments of that kind")
    doing: str = Field(description="What it does, for people")
    by: str = Field(description="Name of who asked for it")
    why: str = Field("", description="The reason")
    at: AwareDatetime = Field(description="When it was asked for")
    files: str = Field("", description="SHA-256 of the files that it was given; empty if there are none")


class Steps(Document):
    """How far a job has come."""

    REMEDY: ClassVar[str] = REMEDY
    format: Literal[1] = 1
    steps: tuple[Step, ...] = Field((), description="Its steps, in the order in which they began")
    warnings: tuple[str, ...] = Field((), description="What it warned of")


@dataclass(frozen=True)
class Job:
    """A job, as it is at this moment.

    Attributes:
        folder: Its folder.
        record: What is to be done.
        state: `killed` if its process is gone and did not say how it ended.
        steps: Its steps, in the order in which they began.
        warnings: What it warned of.
        ended: How it ended; None if it has not, or was killed.
    """

    folder: Path
    record: JobRecord
    state: JobState
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    ended: Ended | None

    @property
    def id(self) -> str:
        """Its id."""
        return self.folder.name

    @property
    def kind(self) -> Kind[Any, Any]:
        """Its kind."""
        return KINDS[self.record.kind]

    @property
    def runs(self) -> bool:
        """Whether it is under way."""
        return self.state == "running"

    @property
    def doing(self) -> str:
        """What it does, for people."""
        return self.record.doing

    @property
    def result(self) -> dict[str, Any]:
        """What the action answered.

        Raises:
            NotFound: It has not ended well.
            InvalidInput: The file is damaged.
        """
        try:
            return dict(read_json(self.folder / RESULT))
        except FileNotFoundError as error:
            raise NotFound("This job has no result.", "Look at its state, or ask for it again.") from error
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise InvalidInput("The result of this job is damaged.", REMEDY) from error

    @property
    def status(self) -> JobStatus:
        """What is told of it, without its result."""
        group = self.kind.group
        notes = {"running": group.meanwhile, "failed": group.failed, "killed": group.killed}
        return JobStatus(
            id=self.id,
            kind=self.kind.name,
            doing=self.doing,
            by=self.record.by,
            why=self.record.why,
            at=self.record.at,
            state=self.state,
            note=notes.get(self.state, ""),
            steps=self.steps,
            warnings=self.warnings,
            ended=self.ended,
        )

    @property
    def whole_status(self) -> JobStatus:
        """What is told of it, with its result if it was done to its end."""
        try:
            return self.status.model_copy(update={"result": self.result})
        except NotFound:
            return self.status

    def end(self) -> None:
        """End its process, if it lives, as Ctrl-C would.

        Raises:
            Conflict: A job of this group is not ended before it is done.
        """
        if not self.kind.group.may_be_ended:
            raise Conflict(f"{self.record.by} is {self.doing}, which cannot be left half done.", "Look how it ends.")
        if (process := _process(self.folder)) is not None:
            end_processes([process], wait_s=_END_S)


def new_key() -> str:
    """A key for a form. What is sent with it is one job, however often it is sent."""
    return secrets.token_hex(8)


def begin_job(home: Home, asked: Asked, *, by: str, key: str | None = None) -> Job:
    """Begin a job in a process of its own; returns at once.

    The same key twice is one job; one that failed or was killed is begun anew.

    Args:
        home: GLOCAL_HOME.
        asked: What is to be done.
        by: Name of who asks for it.
        key: Key of the form, made by `new_key`. None: a new one, but of a kind that is done once it is made of the arguments,
            so that whatever is asked for with the same ones is one job.

    Raises:
        InvalidInput: This is no key.
        Conflict: The key is that of another job, or as many of its group as may be are under way.
        StorageFailed: The disk takes no more.
        Unavailable: Its process cannot be started.
    """
    if key is None:
        key = _key_of(asked) if asked.kind.once else new_key()
    if not _KEY.fullmatch(key):
        raise InvalidInput("The form has no key.", "Load the page again, and send it once more.")
    with disk_errors(home.root):
        return _begun(claim(home), asked, by=by, key=key)


def _begun(home: Home, asked: Asked, *, by: str, key: str) -> Job:
    root, at = home.dashboard.jobs, datetime.now(UTC)
    record = JobRecord(
        kind=asked.kind.name,
        arguments=dict(asked.arguments),
        doing=asked.kind.doing.format_map(asked.arguments),
        by=by,
        why=str(asked.arguments.get("why", "")),
        at=at,
        files=sha256_json([hashlib.sha256(each).hexdigest() for each in asked.files]) if asked.files else "",
    )
    with hold(root / _LOCK, wait_s=_LOCK_S, busy="Another job is being asked for."):
        known = _with_key(root, asked.kind, key)
        if known is not None and known.state not in _AGAIN:
            return _same(known, record)
        refuse_beside(home, asked.kind.group)
        _tidy(root, asked.kind.group)
        folder = root / f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}-{asked.kind.name}-{key}"
        try:
            (folder / FILES).mkdir(parents=True)
            for number, data in enumerate(asked.files):
                (folder / FILES / str(number)).write_bytes(data)
            with lend(folder / ALIVE) as lock:
                record.save(folder / RECORD)  # from now on there is such a job
                process = start_detached(
                    [sys.executable, "-m", "pipelines.jobs", str(folder)],
                    folder=home.root,
                    environment=own_environment(home, GLOCAL_USER=by),
                    log=folder / LOG,
                    umask=-1,
                    inherits=(lock,),
                )
        except (OSError, ValueError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if disk := disk_error(error, home.root):
                raise disk from error
            raise Unavailable(f"The process of the job cannot be started: {error}.", "Try again in a moment.") from error
        write_json(folder / _PROCESS, {"pid": process.pid})
        return _read(folder)


def refuse_beside(home: Home, group: Group) -> None:
    """Refuse a job of a group while as many as may be are under way.

    Raises:
        Conflict: They are, of the dashboard or of another process; it says who does what.
    """
    if group.waits:
        return
    others = jobs_under_way(home, group)
    if len(others) >= group.at_once:
        said = "; ".join(f"{each.record.by} is {each.doing}, since {each.record.at:%H:%M:%S} UTC" for each in others)
        raise Conflict(f"{said}.", group.rule)
    if group.lock is not None and is_held(group.lock(home)):
        raise Conflict(
            "The same is under way, of a run, of the command line or of another person.", "Try again when it has finished."
        )


def find_job(home: Home, job_id: str) -> Job:
    """The job with this id.

    Raises:
        NotFound: There is none.
        InvalidInput: Its record is damaged.
    """
    folder = home.dashboard.jobs / job_id
    named = _ID.fullmatch(job_id)
    if named is None or named[1] not in KINDS or not (folder / RECORD).is_file():
        raise NotFound("There is no such job.", f"The latest {KEPT} are kept.")
    return _read(folder)


def job_of(home: Home, asked: Asked) -> Job | None:
    """The newest job that was begun without a key and with these arguments; None if there is none."""
    return _with_key(home.dashboard.jobs, asked.kind, _key_of(asked))


def latest_jobs(home: Home, *kinds: Kind[Any, Any], most: int = KEPT) -> list[Job]:
    """The latest jobs of some kinds, newest first; see `read_jobs`."""
    return read_jobs(home, *kinds, most=most)[0]


def read_jobs(home: Home, *kinds: Kind[Any, Any], most: int = KEPT) -> tuple[list[Job], list[Unreadable]]:
    """The latest jobs of some kinds, newest first, and those among them that cannot be read.

    Args:
        home: GLOCAL_HOME.
        kinds: The kinds.
        most: Maximum jobs, with those that cannot be read.
    """
    unreadable: list[Unreadable] = []
    folders = islice(_folders(home.dashboard.jobs, {each.name for each in kinds}, damaged=True), most)
    found = [job for folder in folders if (job := read_or_note(partial(_read, folder), folder, unreadable))]
    return found, unreadable


def jobs_under_way(home: Home, group: Group) -> list[Job]:
    """The jobs of a group that are under way, newest first."""
    found = list[Job]()
    for folder in _folders(home.dashboard.jobs, _names(group)):
        if not (folder / ENDED).is_file() and _lives(folder):
            with contextlib.suppress(GlocalError):
                found.append(_read(folder))
    return [each for each in found if each.runs]


def under_way(home: Home, group: Group) -> Job | None:
    """The newest job of a group that is under way; None if there is none."""
    return next(iter(jobs_under_way(home, group)), None)


def _read(folder: Path) -> Job:
    lives = _lives(folder)  # before the end is looked for, so that no end falls between the two
    ended = Ended.load_if_there(folder / ENDED)
    state: JobState = ended.state if ended else "running" if lives else "killed"
    told, record = Steps.load_if_there(folder / PROGRESS) or Steps(), JobRecord.load(folder / RECORD)
    try:
        KINDS[record.kind].check_kept(record.arguments)
    except (KeyError, InvalidInput) as error:
        raise InvalidInput(f"{folder / RECORD} is damaged: kind and arguments do not fit.", REMEDY) from error
    steps = told.steps
    if state != "running":  # what was under way has ended with its process
        last: Literal["succeeded", "failed"] = "succeeded" if state == "succeeded" else "failed"
        steps = tuple(each.model_copy(update={"state": last}) if each.state == "running" else each for each in steps)
    return Job(folder, record, state, steps, told.warnings, ended)


def _same(known: Job, record: JobRecord) -> Job:
    """The job that was begun, if the same is asked for."""
    if (known.record.arguments, known.record.files) != (record.arguments, record.files):
        raise Conflict("This form was sent before, with other values.", "Send it once more from this page.")
    return known


def _with_key(root: Path, kind: Kind[Any, Any], key: str) -> Job | None:
    """The job of a key: the newest that did not fail, whatever the clock said, else the newest; None if none can be read."""
    found = list[Job]()
    for folder in root.glob(f"*-{kind.name}-{key}"):
        with contextlib.suppress(GlocalError):
            found.append(_read(folder))
    return max(found, key=lambda job: (job.state not in _AGAIN, job.id), default=None)


def _key_of(asked: Asked) -> str:
    return sha256_json([asked.kind.name, dict(asked.arguments)])[:16]


def _names(group: Group) -> set[str]:
    return {each.name for each in KINDS.values() if each.group == group}


def _folders(root: Path, kinds: set[str], *, damaged: bool = False) -> Iterator[Path]:
    """The folders of jobs of some kinds, newest first.

    Args:
        root: The folder of all jobs.
        kinds: Names of the kinds.
        damaged: Whether those are among them whose record is gone. One that has no other file either is only being begun.
    """
    for folder in sorted(root.glob("[0-9]*"), reverse=True):
        named = _ID.fullmatch(folder.name)
        known = (RECORD, PROGRESS, RESULT, ENDED, _PROCESS) if damaged else (RECORD,)
        if named and named[1] in kinds and any((folder / each).is_file() for each in known):
            yield folder


def _process(folder: Path) -> psutil.Process | None:
    """The process of a job; None if it does not live."""
    with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, psutil.Error):
        pid = int(read_mapping(folder / _PROCESS)["pid"])
        return psutil.Process(pid) if str(folder) in command_line(pid) else None
    return None


def _lives(folder: Path) -> bool:
    """Whether the process of a job lives: it holds a lock from its begin to its end, whoever began it."""
    return is_held(folder / ALIVE)


def _tidy(root: Path, group: Group) -> None:
    """Remove the oldest jobs of a group, and the files of those that were killed."""
    for number, folder in enumerate(_folders(root, _names(group), damaged=True)):
        if not _lives(folder):
            shutil.rmtree(folder / FILES if number < KEPT - 1 else folder, ignore_errors=True)
