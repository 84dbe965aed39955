"""A job on disk: what was asked, how far it is, and what became of it.

job.json        what was asked, by whom and when
process.json    the process that does it
progress.json   how far it is
result.json     what it found; written last
error.json      why it failed
console.log     what its process printed
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import AwareDatetime, Field

from model.claim import claim
from model.environment import Environment
from model.errors import Conflict, InvalidInput, NotFound, Unavailable
from model.files import read_json, write_json
from model.home import DashboardFolder
from model.locks import hold
from model.schemas.document import read_schema
from model.schemas.schema import Schema
from serving.processes import command_line, end_processes, start_detached

Kind = Literal["import", "diff", "look-alikes"]
AT_ONCE = 2
"""Jobs that may be under way at a time."""
KEPT = 100
"""Ended jobs that are kept, the latest."""
MODULE = "dashboard.jobs"
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_START_S = 30.0
"""Seconds after which a job without a process counts as killed."""
_END_S = 20.0


class Asked(Schema):
    """What a job was asked to do."""

    kind: Kind = Field(description="Kind of the job")
    arguments: dict[str, str] = Field(description="Its arguments by name")
    by: str = Field(description="Name of who asked for it")
    at: AwareDatetime = Field(description="When")


class Progressed(Schema):
    """How far a job is."""

    done: int = Field(0, description="Amount done")
    total: int = Field(0, description="Amount in all; 0 if it is not known")
    what: str = Field("", description="What is being done")


class Failed(Schema):
    """Why a job failed."""

    headline: str = Field(description="What went wrong")
    hint: str = Field("", description="What to do about it")
    findings: tuple[dict[str, str], ...] = Field((), description="The first defects of refused data: kind, name and text")
    report: str = Field("", description="Name of the data set whose report lists all of them; empty if there is none")


State = Literal["running", "done", "failed", "killed"]


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        root: Its folder, which is named for its id.
    """

    root: Path

    @property
    def id(self) -> str:
        """Its id."""
        return self.root.name

    @property
    def exists(self) -> bool:
        """Whether it was asked for."""
        return (self.root / "job.json").is_file()

    @property
    def asked(self) -> Asked:
        """What was asked.

        Raises:
            NotFound, InvalidInput: It is not there, or damaged.
        """
        return read_schema(Asked, self.root / "job.json", "Ask for it again.")

    @property
    def state(self) -> State:
        """What became of it."""
        lives = self._lives()  # first: a result that is written meanwhile is seen below
        if self._file("result").is_file():
            return "done"
        if self._file("error").is_file():
            return "failed"
        return "running" if lives else "killed"

    @property
    def progress(self) -> Progressed:
        """How far it is."""
        return self._read(Progressed, "progress") or Progressed()

    @property
    def error(self) -> Failed | None:
        """Why it failed; None if it did not."""
        found: Failed | None = self._read(Failed, "error")
        return found

    @property
    def result(self) -> dict[str, Any]:
        """What it found.

        Raises:
            NotFound: It has not ended well.
            InvalidInput: The file is damaged.
        """
        if not self._file("result").is_file():
            raise NotFound("This job has no result.", "Look at its state, or ask for it again.")
        try:
            return dict(read_json(self._file("result")))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInput("The result of this job is damaged.", "Ask for it again.") from error

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write one of its files."""
        write_json(self._file(name), dict(value))

    def end(self) -> None:
        """End its process, if it lives, as Ctrl-C would."""
        if (process := self._process()) is not None:
            end_processes([process], wait_s=_END_S)

    def _lives(self) -> bool:
        if self._process() is not None:
            return True
        try:
            asked_at = self._file("job").stat().st_mtime
        except OSError:
            return False
        has_begun = self._file("process").is_file()
        return not has_begun and datetime.now(UTC).timestamp() - asked_at < _START_S

    def _process(self) -> psutil.Process | None:
        """The process that does the job; None if it does not live."""
        try:
            pid = int(read_json(self._file("process"))["pid"])
            line = command_line(pid)
            return psutil.Process(pid) if MODULE in line and str(self.root) in line else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def _file(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def _read(self, kind: Callable[..., Any], name: str) -> Any:
        try:
            return kind(**read_json(self._file(name)))
        except (OSError, ValueError, TypeError):
            return None


def find_job(folder: DashboardFolder, job_id: str) -> Job:
    """The job with this id.

    Raises:
        NotFound: There is none.
    """
    job = Job(folder.jobs / job_id)
    if not _ID.fullmatch(job_id) or not job.exists:
        raise NotFound("There is no such job.", f"The latest {KEPT} are kept.")
    return job


def jobs(folder: DashboardFolder, kind: Kind | None = None) -> list[Job]:
    """The jobs of this home, the latest first."""
    found = sorted(_folders(folder), key=lambda job: job.root.stat().st_mtime, reverse=True)
    return [job for job in found if kind is None or job.asked.kind == kind]


def start_job(environment: Environment, kind: Kind, arguments: Mapping[str, str], *, by: str, job_id: str) -> Job:
    """Start a job. The same id is one job, however often it is asked for; one that failed is begun anew.

    Args:
        environment: The home.
        kind: What is to be done.
        arguments: Its arguments; see `dashboard.jobs.kinds`.
        by: Name of who asks for it.
        job_id: Its id.

    Raises:
        Conflict: As many jobs as may be are under way.
        InvalidInput: The id cannot be one.
        Unavailable: Its process cannot be started.
    """
    folder = claim(environment.home).dashboard
    if not _ID.fullmatch(job_id):
        raise InvalidInput("This cannot be the id of a job.", "Load the page again, and send it once more.")
    job = Job(folder.jobs / job_id)
    with hold(folder.jobs / ".lock"):
        if job.exists and job.state in {"running", "done"}:
            return job
        if sum(each.state == "running" for each in _folders(folder)) >= AT_ONCE:
            raise Conflict(f"{AT_ONCE} jobs on data are under way.", "Ask again when one of them has ended.")
        shutil.rmtree(job.root, ignore_errors=True)
        _sweep(folder)
        asked = Asked(kind=kind, arguments=dict(arguments), by=by, at=datetime.now(UTC))
        job.write("job", asked.model_dump(mode="json"))
        environ = {**os.environ, "GLOCAL_HOME": str(environment.home.root), "GLOCAL_USER": by, "PYTHONPATH": _paths()}
        command = [sys.executable, "-m", MODULE, str(job.root)]
        try:
            process = start_detached(
                command, folder=environment.home.root, environment=environ, log=job.root / "console.log", umask=-1
            )
        except OSError as error:
            raise Unavailable(f"The job could not be started: {error}.") from error
        job.write("process", {"pid": process.pid})
    return job


def _paths() -> str:
    """The path by which the process finds this code from another folder."""
    return os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])


def _folders(folder: DashboardFolder) -> Iterator[Job]:
    yield from (Job(each) for each in folder.jobs.glob("[!.]*") if (each / "job.json").is_file())


def _sweep(folder: DashboardFolder) -> None:
    """Remove ended jobs but the latest."""
    for job in jobs(folder)[KEPT - 1 :]:
        if job.state != "running":
            shutil.rmtree(job.root, ignore_errors=True)
