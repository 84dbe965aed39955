"""One run, while it is under way and after: steps, progress, figures, curves, what went wrong, and what it left."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Header, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from dashboard.outage import Outage, unless_down
from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from dashboard.views.runs.drawing import graph_of, timeline_of
from dashboard.views.runs.listing import close_killed, row_of
from model.data.importing.last_import import last_import
from model.environment import Environment
from model.errors import GlocalError, NotFound
from model.schemas.decision import Decision
from model.schemas.run_event import RunEvent
from model.schemas.run_record import RunRecord, RunState
from pipelines.cancelling import cancel_run, cancelled_by
from pipelines.run_folder import PIPELINE, RunFolder, kept_run
from pipelines.run_steps import RunStep, steps_of_events, steps_of_records, tasks_of
from pipelines.step_reasons import step_reasons
from serving.registry.opened import run_records
from serving.registry.runs import LOSS, VALIDATION, Runs

router = APIRouter()
LINES = 200
"""Lines of progress that a page begins with: the latest."""
_LOOK_S = 0.2
"""Seconds between two looks for new events."""


def recorded(environment: Environment, run_id: str) -> tuple[Runs, RunRecord]:
    """The record of runs, and one run of it.

    Raises:
        NotFound: There is no such run.
    """
    if (records := run_records(environment)) is None:
        raise NotFound(f"There is no run {run_id[:100]}.", "Nothing was recorded here yet.")
    return records, records.run(run_id)


def known_run(request: Request, run_id: str) -> tuple[Runs | None, RunRecord, Outage | None]:
    """The record of runs, and one run of it; where it cannot be read, what the folder of the run says, and why.

    Raises:
        NotFound: There is no such run.
        StorageFailed, Unavailable: The record cannot be read, and the run has no folder here.
    """
    environment: Environment = request.app.state.environment
    found, lost = unless_down(request, lambda: recorded(environment, run_id))
    if found is not None:
        return *found, None
    if (kept := kept_run(environment.home, run_id)) is None:
        raise lost.error if lost else NotFound(f"There is no run {run_id[:100]}.")
    return None, kept, lost


@router.get("/runs/{run_id}")
def run(request: Request, person: Viewer, tasks: BackgroundTasks, run_id: str) -> Response:
    """A run as it is now. A constant number of questions to the store: the run, its steps, and two curves."""
    environment: Environment = request.app.state.environment
    records, record, lost = known_run(request, run_id)
    folder = RunFolder.of(record, environment.home)
    row = row_of(record, environment)
    if not lost:
        close_killed([row], environment, tasks)
    events, offset = folder.events() if folder else ([], 0)
    steps = _steps(record, folder, events, row.state)
    answer = page(
        request,
        "runs/run.html",
        part="runs",
        run=record,
        row=row,
        live=row.state == "running",
        folder=folder,
        steps=steps,
        graph=graph_of(steps),
        timeline=timeline_of(steps, record.started.timestamp(), _until(record, row.state, events)),
        reasons=_reasons(records, record, row.state) if records else {},
        lines=[_shown(event) for event in events if said(event)][-LINES:],
        offset=offset,
        refused=_refused_import(record, environment),
        untrained=_untrained(folder),
        verdict=str(folder.report.get("verdict", "")) if folder else "",
        decision=_decision(folder),
        curves={name: records.curve(run_id, name) if records else [] for name in (VALIDATION, LOSS)},
        lost=lost,
        files=folder.files() if folder else [],
        cancelled_by=cancelled_by(environment, record) if row.state in {"running", "killed"} else "",
    )
    answer.background = tasks
    return answer


@router.post("/runs/{run_id}/cancel")
def cancel(request: Request, person: Operator, run_id: str) -> Response:
    """Let a run end as by Ctrl-C, however it was started."""
    environment: Environment = request.app.state.environment
    cancel_run(environment, known_run(request, run_id)[1], person.name)
    return RedirectResponse(f"/runs/{run_id}", 303)


def _refused_import(record: RunRecord, environment: Environment) -> str:
    """The name under which this run was refused its import, if that has been the last import of the name; else empty."""
    name = record.params.get("name", "")
    if not name or record.failure is None or record.failure.step != "version":
        return ""
    last = last_import(environment.home.data, name)
    return name if last and last.defects and last.at >= record.started.timestamp() else ""


def _followed(request: Request, run_id: str, folder: str) -> RunFolder:
    """The folder of a run, by its name: no record is asked, as a server that was just started opens that in seconds."""
    found = RunFolder.named(folder, run_id, request.app.state.environment.home)
    if found is None:
        raise NotFound(f"There is no run {run_id[:100]} in {folder[:100]}.", "The run's page names its folder.")
    return found


@router.get("/runs/{run_id}/events", response_class=EventSourceResponse)
async def events(
    request: Request,
    person: Viewer,
    followed: Annotated[RunFolder, Depends(_followed)],
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[str, Header()] = "",
) -> AsyncIterator[ServerSentEvent]:
    """The events of a run as they come, some in one message, whose id is the offset after them; `end` when the run has ended.

    A browser that lost its connection sends the last id, and gets what it has not seen.
    """
    offset = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 16 else after
    yield ServerSentEvent(comment="the run's events", retry=1000)
    while not request.app.state.is_stopping():
        ended = not await run_in_threadpool(lambda: followed.is_alive)  # asked first, so that all is read
        came, offset = await run_in_threadpool(followed.events, offset)
        if came:
            yield ServerSentEvent(event="events", id=str(offset), data=[_shown(event) for event in came])
        if ended:
            yield ServerSentEvent(event="end", data=await run_in_threadpool(lambda: followed.state))
            return
        await asyncio.sleep(_LOOK_S)


def said(event: RunEvent) -> str:
    """What a line of the progress says."""
    return event.text or " ".join(filter(None, [event.headline, event.hint])) or _WORDS.get(event.event, "")


_WORDS = {"started": "begins", "finished": "is done", "failed": "failed", "cached": "is taken from the cache"}


def _shown(event: RunEvent) -> dict[str, Any]:
    return {**event.model_dump(include={"step", "event", "at", "done", "total"}), "text": said(event)}


def _steps(record: RunRecord, folder: RunFolder | None, events: list[RunEvent], state: RunState) -> list[RunStep]:
    if folder is None or not events:
        return steps_of_records(record.steps)
    return steps_of_events(tasks_of(folder.root / PIPELINE), events, state)


def _until(record: RunRecord, state: RunState, events: list[RunEvent]) -> float:
    """The end of the timeline: now, the end of the run, or the last event of one whose end nobody noted."""
    if state == "running":
        return time.time()
    last = max((event.at for event in events), default=record.started.timestamp())
    return max(last, record.ended.timestamp()) if record.ended and state != "killed" else last


def _reasons(records: Runs, record: RunRecord, state: RunState) -> dict[str, str]:
    """Why each step ran or did not, by step; none while the run is under way, and of one that is no training."""
    if state == "running" or record.kind != "training":
        return {}
    try:
        return {each.step: each.why for each in step_reasons(records, record)}
    except GlocalError:
        return {}


def _untrained(folder: RunFolder | None) -> dict[str, float]:
    found = folder.report.get("untrained") if folder else None
    return found if isinstance(found, dict) else {}


def _decision(folder: RunFolder | None) -> Decision | None:
    try:
        return folder.decision if folder else None
    except GlocalError:  # damaged: what was refused is on record as well
        return None
