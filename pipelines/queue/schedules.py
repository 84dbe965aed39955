"""Recurring runs: the schedules of a home. The worker fires them, each time as an order of its own."""

import logging
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from apscheduler.triggers.cron import CronTrigger

from model.claim import claim
from model.config import parse_config
from model.disk import disk_errors
from model.environment import Environment
from model.errors import Conflict, GlocalError, InvalidInput, NotFound
from model.home import QueueFolder
from model.locks import hold
from model.schemas.order import Order, OrderState
from model.schemas.schedule import SCHEDULE_ID, Schedule, Schedules, ScheduleState
from model.schemas.unreadable import Unreadable, read_or_note
from pipelines.queue.orders import OPEN, order_state, refuse, submit
from pipelines.queue.stored import stored_orders
from pipelines.running import check_training

_MINUTE = "%Y%m%dT%H%MZ"
_FIRED = r"-\d{8}T\d{4}Z"
_log = logging.getLogger(__name__)


def add_schedule(environment: Environment, schedule: Schedule) -> ScheduleState:
    """Check a schedule and keep it. `ensure_worker` lets it order.

    Raises:
        InvalidInput: There is no such source or setting, or the crontab cannot be read.
        Conflict: There is a schedule of this name.
        StorageFailed: The disk takes no more. Nothing was kept.
    """
    queue = claim(environment.home).queue
    trigger_of(schedule)
    runner = environment.run_by(schedule.runner).runner
    source = check_training(schedule.source, schedule.name, parse_config(schedule.settings), runner)
    with disk_errors(queue.root), hold(queue.lock):
        if _file(queue, schedule.id).exists():
            raise Conflict(
                f"There is a schedule {schedule.id}.", f"Choose another name, or: glocal schedule remove {schedule.id}"
            )
        schedule.model_copy(update={"source": source}).save(_file(queue, schedule.id))
    return schedule_state(environment, schedule.id)


def schedules(environment: Environment) -> Schedules:
    """All schedules with their last order and their next time, and those that cannot be read."""
    found, unreadable = read_schedules(environment.home.queue)
    return Schedules(schedules=tuple(_state(environment, each) for each in found), unreadable=tuple(unreadable))


def schedule_state(environment: Environment, schedule_id: str) -> ScheduleState:
    """One schedule with its last order and its next time.

    Raises:
        NotFound: There is none.
    """
    return _state(environment, _load(environment.home.queue, schedule_id))


def pause_schedule(environment: Environment, schedule_id: str, *, paused: bool = True) -> ScheduleState:
    """Let a schedule order nothing until this is called with `paused=False`.

    Raises:
        NotFound: There is none.
    """
    queue = environment.home.queue
    with hold(queue.lock):
        schedule = _load(queue, schedule_id)
        schedule.model_copy(update={"paused": paused}).save(_file(queue, schedule.id))
    return schedule_state(environment, schedule_id)


def remove_schedule(environment: Environment, schedule_id: str) -> ScheduleState:
    """Remove a schedule; its runs stay. Returns what it was.

    Raises:
        NotFound: There is none.
    """
    queue = environment.home.queue
    with hold(queue.lock):
        last = schedule_state(environment, schedule_id)
        _file(queue, schedule_id).unlink()
    return last


def stored_schedules(queue: QueueFolder) -> list[Schedule]:
    """The schedules by name, without when they order. Of one whose file is damaged the log says so."""
    found, unreadable = read_schedules(queue)
    for each in unreadable:
        _log.warning("%s", each.why)
    return found


def read_schedules(queue: QueueFolder) -> tuple[list[Schedule], list[Unreadable]]:
    """The schedules by name, and those that cannot be read."""
    unreadable: list[Unreadable] = []
    files = sorted(queue.schedules.glob("[!.]*.json"), key=lambda each: each.stem)
    return [found for file in files if (found := read_or_note(partial(_read, file), file, unreadable))], unreadable


def _read(file: Path) -> Schedule:
    schedule = Schedule.load(file)
    trigger_of(schedule)
    return schedule


def trigger_of(schedule: Schedule) -> CronTrigger:
    """When a schedule orders, in this machine's time zone.

    Raises:
        InvalidInput: The crontab cannot be read.
    """
    try:
        trigger: CronTrigger = CronTrigger.from_crontab(schedule.crontab)
    except ValueError as error:
        hint = "Give minute, hour, day, month and weekday: '0 3 * * mon' is Mondays at 3:00, '*/30 * * * *' every half hour."
        raise InvalidInput(f"The crontab {schedule.crontab!r} cannot be read: {error}", hint) from error
    return trigger


def fire(environment: Environment, schedule: Schedule, now: datetime | None = None) -> None:
    """Order the run of a schedule. It is ordered once in a minute, and not while its last one is queued or runs.

    If it cannot be ordered, as when its source is gone, a refused order says so.

    Args:
        environment: The home.
        schedule: The schedule.
        now: The time; None: now.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    order = Order(
        id=f"{schedule.id}-{moment:{_MINUTE}}",
        **schedule.model_dump(include={"source", "name", "settings", "runner", "why", "user"}),
        schedule=schedule.id,
    )
    if (last := _last(environment, schedule.id)) and last.state in OPEN:
        _log.warning("The schedule %s orders nothing at %s: %s is %s.", schedule.id, moment, last.order.id, last.state)
        return
    try:
        submit(environment, order)
    except GlocalError as error:
        refuse(environment, order, error)


def _state(environment: Environment, schedule: Schedule) -> ScheduleState:
    now = datetime.now(UTC)
    following = None if schedule.paused else trigger_of(schedule).get_next_fire_time(None, now)
    return ScheduleState(schedule=schedule, last=_last(environment, schedule.id), next=following)


def _last(environment: Environment, schedule_id: str) -> OrderState | None:
    """The latest order of a schedule, whose time is in its name; None if there is none that can be read."""
    fired = re.compile(re.escape(schedule_id) + _FIRED)
    names = sorted(name for each in stored_orders(environment.home.queue) if fired.fullmatch(name := each.root.name))
    try:
        return order_state(environment, names[-1]) if names else None
    except GlocalError as error:
        _log.warning("%s", error)
        return None


def _load(queue: QueueFolder, schedule_id: str) -> Schedule:
    if not re.fullmatch(SCHEDULE_ID, schedule_id) or not _file(queue, schedule_id).is_file():
        raise NotFound(f"There is no schedule {schedule_id[:100]}.", "glocal schedule list shows them.")
    return Schedule.load(_file(queue, schedule_id))


def _file(queue: QueueFolder, schedule_id: str) -> Path:
    return queue.schedules / f"{schedule_id}.json"
