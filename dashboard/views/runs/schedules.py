"""Recurring runs: the schedules, and the worker that executes them and the queue."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from model.cluster import Kubeflow
from model.environment import Environment
from model.errors import GlocalError
from model.schemas.schedule import ScheduleState
from pipelines.queue.worker import ensure_worker, find_worker
from pipelines.recurring import clock_of

router = APIRouter()
ClockName = Annotated[Literal["local", "kubeflow"], Form()]
"""Whose clock starts the runs."""


@router.get("/runs/schedules")
def listed(request: Request, person: Viewer) -> Response:
    """The schedules of this machine, with their last order and their next time, and those of the Kubeflow that is set."""
    environment: Environment = request.app.state.environment
    working = find_worker(environment.home) is not None
    cluster = _of_kubeflow(environment) if environment.runner == "kubeflow" or Kubeflow().address else ()
    own = clock_of(environment.run_by("local")).schedules()
    shown: dict[str, Any] = {"schedules": own.schedules, "unreadable": own.unreadable, "cluster": cluster}
    return page(request, "runs/schedules.html", part="runs", working=working, **shown)


@router.post("/runs/schedules/{schedule_id}/pause")
def pause(request: Request, person: Operator, schedule_id: str, clock: ClockName) -> Response:
    """Let a schedule order nothing for now."""
    clock_of(request.app.state.environment.run_by(clock)).pause(schedule_id)
    return RedirectResponse("/runs/schedules", 303)


@router.post("/runs/schedules/{schedule_id}/resume")
def resume(request: Request, person: Operator, schedule_id: str, clock: ClockName) -> Response:
    """Let a schedule order again."""
    clock_of(request.app.state.environment.run_by(clock)).pause(schedule_id, paused=False)
    return RedirectResponse("/runs/schedules", 303)


@router.post("/runs/schedules/{schedule_id}/remove")
def remove(request: Request, person: Operator, schedule_id: str, clock: ClockName) -> Response:
    """Remove a schedule; its runs stay."""
    clock_of(request.app.state.environment.run_by(clock)).remove(schedule_id)
    return RedirectResponse("/runs/schedules", 303)


@router.post("/runs/worker")
def work(request: Request, person: Operator) -> Response:
    """Start the worker that executes the queue, if there is none."""
    ensure_worker(request.app.state.environment)
    return RedirectResponse("/runs", 303)


def _of_kubeflow(environment: Environment) -> tuple[ScheduleState, ...] | GlocalError:
    """Kubeflow's recurring runs; why they cannot be shown."""
    try:
        return clock_of(environment.run_by("kubeflow")).schedules().schedules
    except GlocalError as error:
        return error
