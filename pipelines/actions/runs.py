"""Actions on runs: what was run, what is queued, starting, cancelling, and runs that recur."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from model.errors import InvalidInput, NotFound
from model.schemas.order import Order, OrderState, QueueState
from model.schemas.run_event import RunEvent
from model.schemas.run_record import RunRecord
from model.schemas.schedule import Schedule, Schedules, ScheduleState
from model.schemas.schema import Schema
from model.schemas.step_plan import RunPlan
from pipelines.actions.action import Caller, action
from pipelines.runners.port import RunnerName

_LONGEST = 1000
"""Maximum runs or orders that are listed at once."""
_ENDED_S = 120.0
"""Seconds for a run that is cancelled to record that."""


class Events(Schema):
    """What an order's run has reported since an offset."""

    state: OrderState = Field(description="The order, and what became of it")
    events: tuple[RunEvent, ...] = Field((), description="The events after the offset")
    offset: int = Field(0, ge=0, description="The offset after them, to ask on from")


@action("GET", "/runs")
def list_runs(caller: Caller, limit: int = 50) -> list[RunRecord]:
    """The latest runs, newest first, without their steps. No database is made to look."""
    from serving.registry.opened import run_records

    records = run_records(caller.environment)
    return records.runs(_bounded(limit)) if records else []


@action("GET", "/runs/{run_id}")
def show_run(caller: Caller, run_id: str) -> RunRecord:
    """One run with its steps."""
    from serving.registry.opened import run_records

    if (records := run_records(caller.environment)) is None:
        raise NotFound(f"There is no run {run_id}.")
    return records.run(run_id)


@action("DELETE", "/runs/{run_id}", "operator")
def cancel_run(caller: Caller, run_id: str) -> RunRecord:
    """End a run that is under way, as Ctrl-C does, however it was started; its record stays."""
    from pipelines.cancelling import cancel_run as cancel

    cancel(caller.environment, show_run(caller, run_id), caller.name, wait_s=_ENDED_S)
    return show_run(caller, run_id)


@action("GET", "/orders")
def list_orders(caller: Caller, limit: int = 50) -> QueueState:
    """What runs, what is queued, and what ended last; which of these cannot be read; and whether the queue is executed."""
    from pipelines.queue.orders import read_queue

    return read_queue(caller.environment, _bounded(limit))


@action("POST", "/orders", "operator")
def order_run(
    caller: Caller,
    source: str,
    name: str = "",
    settings: dict[str, Any] | None = None,
    why: str = "a training run",
    key: str = "",
    again_of: str = "",
    runner: RunnerName | Literal[""] = "",
) -> Order:
    """Queue a training. The same `key` is the same run, however often it is sent."""
    from pipelines.queue.orders import submit
    from pipelines.queue.worker import ensure_worker
    from pipelines.running import new_name

    given = {"source": source, "name": name, "settings": settings or {}, "why": why, "again_of": again_of, "runner": runner}
    order = Order.given(id=key or new_name(), user=caller.name, **given)
    kept = submit(caller.environment, order)
    ensure_worker(caller.environment)
    return kept


@action("GET", "/plan")
def plan_run(caller: Caller, source: str, name: str = "", settings: str = "{}", runner: RunnerName | Literal[""] = "") -> RunPlan:
    """Which steps of a training would be taken from the cache, and which would run; `settings` is a JSON object."""
    from model.config import parse_config
    from pipelines.queue.preview import preview

    try:
        tree = json.loads(settings)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The settings are no JSON object.", 'Such as {"train": {"epochs": 20}}.') from error
    return preview(source, name, parse_config(tree), caller.environment.run_by(runner))


@action("GET", "/orders/{order_id}")
def show_order(caller: Caller, order_id: str, offset: int = 0) -> Events:
    """An order, and the events of its run after a byte offset."""
    from components.runtime.events import read_events
    from pipelines.queue.orders import order_state

    state = order_state(caller.environment, order_id)  # first, so that all events of a run that has ended are read
    events, after = read_events(Path(state.folder), max(0, offset)) if state.folder else ([], 0)
    return Events(state=state, events=tuple(events), offset=after)


@action("DELETE", "/orders/{order_id}", "operator")
def cancel_order(caller: Caller, order_id: str) -> OrderState:
    """Take an order out of the queue, or end its run as Ctrl-C does."""
    from pipelines.queue.orders import cancel

    return cancel(caller.environment, order_id, caller.name, wait_s=_ENDED_S)


@action("GET", "/schedules")
def list_schedules(caller: Caller, runner: RunnerName | Literal[""] = "") -> Schedules:
    """The runs that recur, by name: by this machine's clock, or by Kubeflow's; and which of these cannot be read."""
    from pipelines.recurring import clock_of

    return clock_of(caller.environment.run_by(runner)).schedules()


@action("POST", "/schedules", "operator")
def add_schedule(
    caller: Caller,
    name: str,
    crontab: str,
    source: str,
    data: str = "",
    settings: dict[str, Any] | None = None,
    why: str = "a scheduled run",
    runner: RunnerName | Literal[""] = "",
) -> ScheduleState:
    """Let a training recur."""
    from pipelines.recurring import clock_of

    given = {"source": source, "name": data, "settings": settings or {}, "why": why, "runner": runner}
    schedule = Schedule.given(id=name, crontab=crontab, user=caller.name, **given)
    return clock_of(caller.environment.run_by(runner)).add(schedule)


@action("POST", "/schedules/{name}/pause", "operator")
def pause_schedule(caller: Caller, name: str, paused: bool = True, runner: RunnerName | Literal[""] = "") -> ScheduleState:
    """Let a recurring run rest, or go on."""
    from pipelines.recurring import clock_of

    return clock_of(caller.environment.run_by(runner)).pause(name, paused=paused)


@action("DELETE", "/schedules/{name}", "operator")
def remove_schedule(caller: Caller, name: str, runner: RunnerName | Literal[""] = "") -> ScheduleState:
    """Remove a recurring run; what it ran stays."""
    from pipelines.recurring import clock_of

    return clock_of(caller.environment.run_by(runner)).remove(name)


def _bounded(limit: int) -> int:
    return max(1, min(limit, _LONGEST))
