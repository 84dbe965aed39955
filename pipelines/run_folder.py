"""A run's folder, read: what is known of a run beside its record, and whether its process still lives.

The address of the folder comes out of a record, so only a folder directly within `GLOCAL_HOME/runs` is read, and only files that
a listing of it names.
"""

import math
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from components.runtime.events import FILE, read_events
from model.errors import GlocalError, NotFound
from model.files import read_mapping, write_json
from model.home import ALIVE, BEGUN, CANCELLED, RESULT, Home
from model.schemas.decision import DECISION, Decision
from model.schemas.document import read_schema
from model.schemas.order import Cancelled
from model.schemas.run_event import RunEvent
from model.schemas.run_record import Failure, RunRecord, RunState
from model.schemas.run_result import RunResult
from pipelines.runners.local import is_alive
from serving.registry.records import KUBEFLOW_RUN
from serving.registry.runs import RUN_ID

PIPELINE = "pipeline.yaml"
REPORT_PAGE = "report/report.html"
TAIL_BYTES = 256 * 2**10
"""Bytes of a log that are shown: its end."""
_MOST_FILES = 500
_NAME = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class KeptFile:
    """A file in a run's folder.

    Attributes:
        name: Its path below the folder.
        size: Bytes.
    """

    name: str
    size: int


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        root: The folder.
    """

    root: Path

    @classmethod
    def of(cls, record: RunRecord, home: Home) -> "RunFolder | None":
        """The folder of a recorded run; None if it is not on this machine."""
        root = Path(record.folder)
        inside = bool(record.folder) and root.parent == home.runs and root.name not in {"", ".", ".."}
        return cls(root) if inside and root.is_dir() and not root.is_symlink() else None

    @classmethod
    def named(cls, name: str, run_id: str, home: Home) -> "RunFolder | None":
        """The folder of this name, if it is that of the run; the record is not asked."""
        root = home.runs / name
        found = cls(root)
        inside = _NAME.fullmatch(name) is not None and not root.is_symlink()
        return found if inside and read_mapping(root / BEGUN).get("run_id") == run_id else None

    @property
    def is_alive(self) -> bool:
        """Whether the process of the run lives."""
        return is_alive(self.root)

    @property
    def cancelled(self) -> Cancelled | None:
        """Who asked for its end; None if nobody did, or by the queue's order."""
        try:
            return read_schema(Cancelled, self.root / CANCELLED, "Remove it.")
        except GlocalError:
            return None

    def cancel(self, by: str) -> None:
        """Ask for its end; its process looks for that, and ends it as Ctrl-C does. The first who asks is recorded."""
        if self.cancelled is None:
            write_json(self.root / CANCELLED, Cancelled(at=datetime.now(UTC), by=by).model_dump(mode="json"))

    @property
    def result(self) -> dict[str, Any]:
        """What `result.json` holds; empty before the end, and if it is damaged."""
        return read_mapping(self.root / RESULT)

    @property
    def report(self) -> dict[str, Any]:
        """What the result holds of the report; empty likewise."""
        found = self.result.get("report")
        return found if isinstance(found, dict) else {}

    @property
    def state(self) -> RunState:
        """The state of a run that no record calls ended: a run whose process died without a result was killed."""
        if self.is_alive:  # asked first: the result is written before the process ends
            return "running"
        status: Any = self.result.get("status")
        if status in get_args(RunState):
            return status  # type: ignore[no-any-return]
        in_kubeflow = not (self.root / ALIVE).exists() or bool(read_mapping(self.root / BEGUN).get(KUBEFLOW_RUN))
        return "running" if in_kubeflow else "killed"  # no process here has to live for it

    @property
    def record(self) -> RunRecord | None:
        """What the folder says of the run, where its record cannot be read; None if it names no run."""
        run_id = read_mapping(self.root / BEGUN).get("run_id")
        if not isinstance(run_id, str) or not re.fullmatch(RUN_ID, run_id):
            return None
        result, state = self._typed_result, self.state
        begun, ended = ((self.root / name).stat().st_mtime if (self.root / name).is_file() else 0.0 for name in (BEGUN, RESULT))
        return RunRecord(
            id=run_id,
            name=self.root.name,
            state=state,
            started=datetime.fromtimestamp(begun, UTC),
            ended=datetime.fromtimestamp(ended, UTC) if ended and state not in {"running", "killed"} else None,
            params={"name": result.data.path} if result.data else {},
            metrics={name: value for name, value in self.report.items() if isinstance(value, float) and math.isfinite(value)},
            failure=Failure(**result.error.model_dump(include=set(Failure.model_fields))) if result.error else None,
            folder=str(self.root),
            data=result.data,
            training=result.training,
            model=result.model or "",
            model_version=result.model_version or "",
            address=result.address or "",
            refused=result.refused or (),
        )

    @property
    def _typed_result(self) -> RunResult:
        """The result; of a run that has none, or a damaged one, nothing is known but that it is over."""
        try:
            return RunResult.model_validate(self.result)
        except ValidationError:
            return RunResult(status="killed")

    @property
    def decision(self) -> Decision | None:
        """The decision of the gate; None before it is made."""
        return Decision.load_if_there(self.root / "decision" / DECISION)

    def events(self, offset: int = 0) -> tuple[list[RunEvent], int]:
        """The events after a byte offset, and the offset after them."""
        return read_events(self.root, offset)

    def files(self) -> list[KeptFile]:
        """What the run left, by name: all regular files but the log of events and the compiled pipeline."""
        found = []
        for folder, _, names in os.walk(self.root):  # follows no links
            for path in (Path(folder) / name for name in names):
                if path.is_file() and not path.is_symlink() and path.stat().st_size:
                    found.append(KeptFile(path.relative_to(self.root).as_posix(), path.stat().st_size))
        return sorted((each for each in found if each.name not in {FILE, PIPELINE}), key=lambda each: each.name)[:_MOST_FILES]

    def file(self, name: str) -> Path:
        """A file of the run.

        Raises:
            NotFound: `files` names no such file.
        """
        if all(each.name != name for each in self.files()):
            raise NotFound(f"The run has no file {name[:200]}.", "The run's page names its files.")
        return self.root / name

    def log_tail(self, step: str) -> str:
        """The end of a step's log, at most `TAIL_BYTES` and from the begin of a line on; of the whole run: `run`.

        Raises:
            NotFound: The step has no log.
        """
        with self.file(f"{step}.log").open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(start)
            text = file.read(TAIL_BYTES).decode("utf-8", "replace")
        return text.partition("\n")[2] if start else text


def kept_runs(home: Home, most: int) -> list[RunRecord]:
    """The latest runs that have a folder in a home, newest first, by what the folders say."""
    names = sorted((each.name for each in home.runs.glob("*") if _NAME.fullmatch(each.name)), reverse=True)
    found = (RunFolder(home.runs / name).record for name in names if not (home.runs / name).is_symlink())
    return list(islice((each for each in found if each is not None), most))


def kept_run(home: Home, run_id: str) -> RunRecord | None:
    """What the folder of a run says of it; None if none in the home is of this run."""
    named = (RunFolder.named(each.name, run_id, home) for each in home.runs.glob("*"))
    return next((each.record for each in named if each is not None), None)


def state_now(record: RunRecord, home: Home) -> RunState:
    """The state of a run as it is now, also where its record was not closed because its process was killed.

    Of a run whose folder is not on this machine nothing else is known than its record says.
    """
    folder = RunFolder.of(record, home) if record.state == "running" else None
    return folder.state if folder else record.state
