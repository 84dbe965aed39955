"""The list of runs, and before it the queue."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from fastapi import APIRouter, BackgroundTasks, Request, Response

from dashboard.outage import unless_down
from dashboard.rendering import page
from dashboard.security.people import Viewer
from model.data.versions.pin import dataset_names
from model.environment import Environment
from model.schemas.run_comparison import ComparedFigure
from model.schemas.run_record import RunPage, RunRecord, RunState
from pipelines.killed_runs import close_runs_of
from pipelines.queue.orders import OPEN, read_queue
from pipelines.run_folder import RunFolder, kept_runs, state_now
from serving.registry.opened import run_records
from serving.run_comparison import MOST

router = APIRouter()
ROWS = 25
"""Runs on one page."""
FIGURES = {"recall_at_1": "Recall@1", "map_at_r": "MAP@R"}
"""The main figures of a run, with their titles."""
_REFUSED = timedelta(hours=12)
"""Time for which the list shows an order that was refused."""
_log = logging.getLogger("glocal.dashboard")


@dataclass(frozen=True)
class RunRow:
    """A run in the list.

    Attributes:
        run: Its record.
        state: Its state as it is now.
        figures: Its main figures by name, with an interval where its folder has one; None for one that it has not.
    """

    run: RunRecord
    state: RunState
    figures: dict[str, ComparedFigure | None]

    @property
    def seconds(self) -> float | None:
        """Duration up to the end, or up to now; None for a run that was killed at a time nobody noted."""
        if self.run.ended is None and self.state != "running":
            return None
        return ((self.run.ended or datetime.now(UTC)) - self.run.started).total_seconds()


@router.get("/runs")
def listing(
    request: Request, person: Viewer, tasks: BackgroundTasks, state: str = "", data: str = "", token: str = ""
) -> Response:
    """The runs, newest first, and what is queued."""
    environment: Environment = request.app.state.environment
    wanted: Any = state if state in get_args(RunState) else None

    def recorded() -> RunPage:
        records = run_records(environment)
        return records.page(ROWS, token, state=wanted, data=data) if records else RunPage(runs=())

    found, lost = unless_down(request, recorded)
    if found is None:
        kept = kept_runs(environment.home, ROWS)
        found = RunPage(runs=tuple(run for run in kept if data in {"", run.params.get("name")}))
    rows = [row_of(run, environment) for run in found.runs]
    if not lost:
        close_killed(rows, environment, tasks)
    queue, now = read_queue(environment, limit=10), datetime.now(UTC)
    answer = page(
        request,
        "runs/list.html",
        part="runs",
        rows=[row for row in rows if wanted is None or row.state == wanted],
        queued=[each for each in queue.orders if each.state in OPEN],
        refused=[each for each in queue.orders if each.state == "refused" and each.ended and now - each.ended < _REFUSED],
        unreadable=queue.unreadable,
        working=queue.working,
        next=found.next,
        lost=lost,
        first=not token,
        filtered={"state": wanted or "", "data": data},
        states=get_args(RunState),
        names=dataset_names(environment.home.data),
        titles=FIGURES,
        most=MOST,
    )
    answer.background = tasks
    return answer


def row_of(run: RunRecord, environment: Environment) -> RunRow:
    """A run as it is now, with its figures."""
    folder = RunFolder.of(run, environment.home)
    report = folder.report if folder and run.metrics else {}
    figures = {name: _figure(name, run, report) for name in FIGURES}
    return RunRow(run, state_now(run, environment.home), figures)


def close_killed(rows: list[RunRow], environment: Environment, tasks: BackgroundTasks) -> None:
    """Let what was killed be recorded as killed too, after the answer."""
    if any(row.run.state == "running" and row.state != "running" for row in rows):
        tasks.add_task(close_runs_of, environment.home, environment.mlflow_uri, lambda text: _log.warning("%s", text))


def _figure(name: str, run: RunRecord, report: dict[str, Any]) -> ComparedFigure | None:
    value, bounds = run.metrics.get(name), report.get(f"{name}_interval")
    lower, upper = None, None
    if isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(each, int | float) for each in bounds):
        lower, upper = bounds
    return None if value is None else ComparedFigure(value=value, lower=lower, upper=upper)
