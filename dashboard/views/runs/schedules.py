"""Recurring runs: the schedules, and the worker that executes them and the queue."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from pipelines.queue.schedules import pause_schedule, remove_schedule, schedules
from pipelines.queue.worker import ensure_worker, find_worker

router = APIRouter()


@router.get("/runs/schedules")
def listed(request: Request, person: Viewer) -> Response:
    """The schedules, with their last order and their next time."""
    environment = request.app.state.environment
    found = schedules(environment)
    return page(request, "runs/schedules.html", part="runs", schedules=found, working=find_worker(environment.home) is not None)


@router.post("/runs/schedules/{schedule_id}/pause")
def pause(request: Request, person: Operator, schedule_id: str) -> Response:
    """Let a schedule order nothing for now."""
    pause_schedule(request.app.state.environment, schedule_id)
    return RedirectResponse("/runs/schedules", 303)


@router.post("/runs/schedules/{schedule_id}/resume")
def resume(request: Request, person: Operator, schedule_id: str) -> Response:
    """Let a schedule order again."""
    environment = request.app.state.environment
    pause_schedule(environment, schedule_id, paused=False)
    ensure_worker(environment)
    return RedirectResponse("/runs/schedules", 303)


@router.post("/runs/schedules/{schedule_id}/remove")
def remove(request: Request, person: Operator, schedule_id: str) -> Response:
    """Remove a schedule; its runs stay."""
    remove_schedule(request.app.state.environment, schedule_id)
    return RedirectResponse("/runs/schedules", 303)


@router.post("/runs/worker")
def work(request: Request, person: Operator) -> Response:
    """Start the worker that executes the queue, if there is none."""
    ensure_worker(request.app.state.environment)
    return RedirectResponse("/runs", 303)
