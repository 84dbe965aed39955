"""The form that orders a run, once or again and again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.forms import Form
from dashboard.rendering import page
from dashboard.security.people import Operator, Person
from dashboard.views.runs.one import recorded
from dashboard.views.runs.settings_form import FIRST, PREFIX, PRESETS, sections, texts, tree_of
from model.config import changed_settings, parse_config, setting_errors
from model.data.importing.dataset_name import default_name
from model.data.versions.git_command import commit_of
from model.data.versions.ownership import has_repository
from model.data.versions.pin import check_name, dataset_names, versions
from model.environment import Environment
from model.errors import GlocalError, InvalidInput
from model.files import sha256_json
from model.home import DataStore
from model.schemas.order import Order
from model.schemas.schedule import Schedule
from model.schemas.step_plan import RunPlan
from model.text import counted
from pipelines.queue.again import again
from pipelines.queue.orders import order_state, orders, submit
from pipelines.queue.preview import preview
from pipelines.queue.worker import ensure_worker
from pipelines.recurring import clock_of
from pipelines.runners.port import RunnerName
from pipelines.running import check_training
from pipelines.sources import locate_for

router = APIRouter()
_REVISIONS = 10
"""Revisions of a data set that are offered, the newest."""
_LONGEST = 8000
"""Characters of a field that are read."""
_FIELDS = ("known", "source", "name", "why", "runner", "again_of", "schedule", "crontab", "key")


@dataclass
class Filled:
    """What the form is filled with.

    Attributes:
        values: The fields beside the settings, by name; `key`: the latest order when the form was opened.
        settings: The settings that are not the default, as texts, by full name.
        errors: What is wrong, by the name of the field; of no field: under an empty name.
        told: What a person is told above the form.
        dropped: Settings of a cloned run that this code does not take, with their values.
    """

    values: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    errors: dict[str, GlocalError] = field(default_factory=dict)
    told: str = ""
    dropped: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The source: the data set that was chosen, else what was typed."""
        return self.values.get("known") or self.values.get("source", "").strip()


def _read(form: Form) -> dict[str, str]:
    """The fields of a form that are texts."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


Typed = Annotated[dict[str, str], Depends(_read)]


@router.get("/runs/new")
def form(request: Request, person: Operator, preset: str = "", order: str = "", source: str = "") -> Response:
    """The form, filled with the values of another run or order, with a preset, or with what this person ordered last."""
    environment: Environment = request.app.state.environment
    known, cloned = orders(environment), request.query_params.get("from", "")
    if cloned:
        filled = _clone(environment, cloned)
    elif order:
        filled = _of_order(order_state(environment, order).order, "The values are those of the order.")
    elif source or preset:
        filled = Filled({"source": source}, texts(PRESETS[preset].settings) if preset in PRESETS else {})
    else:
        own = [each.order for each in known if each.order.user == person.name and not each.order.schedule]
        last = max(own, key=lambda each: each.time, default=None)
        filled = _of_order(last, "The values are those of your last run.") if last else Filled()
    filled.values["key"] = max((each.order for each in known), key=lambda each: each.time).id if known else "first"
    return _page(request, filled)


@router.post("/runs/new")
def send(request: Request, person: Operator, form: Typed) -> Response:
    """Order the run, add the schedule, or show the form again: with a preset, with what would run, or with what is wrong."""
    environment: Environment = request.app.state.environment
    action, _, preset = form.get("do", "start").partition(":")
    filled = _typed(form)
    if action == "preset" and preset in PRESETS:
        filled.settings = texts(PRESETS[preset].settings)
        return _page(request, filled)
    _check(environment, filled)
    if filled.errors:
        return _page(request, filled, status=422)
    if action == "preview":
        return _page(request, filled, plan=_plan(environment, filled))
    try:
        if action == "schedule":
            named = {"id": filled.values["schedule"], "crontab": filled.values["crontab"]}
            schedule = Schedule.given(**named, **_asked(filled, person))
            clock_of(environment.run_by(schedule.runner)).add(schedule)
            target = "/runs/schedules"
        else:
            kept = submit(environment, _order(filled, person))
            ensure_worker(environment)
            target = f"/runs/orders/{kept.id}"
    except GlocalError as error:
        _blame(filled, error)
        return _page(request, filled, status=422)
    return RedirectResponse(target, 303)


@router.post("/runs/new/plan")
def plan(request: Request, person: Operator, form: Typed) -> Response:
    """What the run of a form would do, as a part of a page; what is wrong in the form, if it could not be ordered."""
    filled = _typed(form)
    _check(request.app.state.environment, filled)
    found = None if filled.errors else _plan(request.app.state.environment, filled)
    return page(request, "runs/plan.html", part="runs", plan=found, filled=filled)


def _typed(form: Mapping[str, str]) -> Filled:
    """What a person typed."""
    values = {name: form.get(name, "")[:_LONGEST] for name in _FIELDS}
    return Filled(values, {name.removeprefix(PREFIX): text for name, text in form.items() if name.startswith(PREFIX)})


def _clone(environment: Environment, run_id: str) -> Filled:
    """The values of a recorded run, with what of them this code does not take."""
    found = again(recorded(environment, run_id)[0], run_id)
    values = {"source": found.source, "name": found.name, "why": found.why, "again_of": run_id}
    return Filled(values, texts(found.settings), told="The values are those of that run.", dropped=found.dropped)


def _of_order(order: Order, told: str) -> Filled:
    values = order.model_dump(include={"source", "name", "why", "runner", "again_of"})
    return Filled(values, texts(order.settings), told=told)


def _check(environment: Environment, filled: Filled) -> None:
    """Name what is wrong, each at its field."""
    filled.errors = {PREFIX + name: error for name, error in setting_errors(tree_of(filled.settings)).items()}
    name, runner = filled.values["name"].strip(), environment.run_by(filled.values["runner"]).runner
    try:
        source = locate_for(runner, filled.source)
    except InvalidInput as error:
        filled.errors["source"] = error
        return
    try:
        check_name(name or default_name(source))
    except InvalidInput as error:
        filled.errors["name"] = error
    if not filled.errors:
        try:
            check_training(source, name, parse_config(tree_of(filled.settings)), runner)
        except InvalidInput as error:
            filled.errors[PREFIX + "model.trunk"] = error


def _plan(environment: Environment, filled: Filled) -> RunPlan | GlocalError:
    """What would run; the reason if that cannot be said."""
    environment = environment.run_by(filled.values["runner"])
    try:
        return preview(filled.source, filled.values["name"].strip(), parse_config(tree_of(filled.settings)), environment)
    except GlocalError as error:
        return error


def _asked(filled: Filled, person: Person) -> dict[str, Any]:
    """What an order and a schedule have in common."""
    reason = filled.values["why"].strip()
    return {
        "source": filled.source,
        "name": filled.values["name"].strip(),
        "settings": changed_settings(parse_config(tree_of(filled.settings))),
        "runner": filled.values["runner"],
        "user": person.name,
        **({"why": reason} if reason else {}),
    }


def _order(filled: Filled, person: Person) -> Order:
    """The order. Its id is that of all forms with the same values that were opened after the same order: they order one run."""
    asked = {**_asked(filled, person), "again_of": filled.values["again_of"]}
    key = sha256_json([filled.values["key"], asked])[:20]
    return Order.given(id=key, **asked)


def _blame(filled: Filled, error: GlocalError) -> None:
    """Name the field at which an order or a schedule was refused; its message begins with the name."""
    named = {"id": "schedule", "There": "schedule", "The": "crontab"}
    first = re.split("[: ]", error.headline, maxsplit=1)[0]
    name = named.get(first, first)
    filled.errors[name if name in _FIELDS else ""] = error


def _page(request: Request, filled: Filled, *, plan: RunPlan | GlocalError | None = None, status: int = 200) -> Response:
    parts = sections()
    by_name = {field.name: field for section in parts for field in section.fields}
    environment: Environment = request.app.state.environment
    return page(
        request,
        "runs/new.html",
        part="runs",
        status=status,
        filled=filled,
        values={name: filled.values.get(name, "") for name in _FIELDS},
        first=[by_name[name] for name in FIRST],
        sections=[(part, [each for each in part.fields if each.name not in FIRST]) for part in parts],
        presets=PRESETS,
        prefix=PREFIX,
        runners=get_args(RunnerName),
        own_runner=environment.runner,
        known=_known_data(environment.home.data),
        plan=plan,
    )


def _known_data(store: DataStore) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The data sets, each with its newest revisions: reference and description."""
    commit = commit_of(store.repo, "HEAD") if has_repository(store) else None
    return _revisions(store, commit) if commit else ()


@lru_cache(maxsize=8)
def _revisions(store: DataStore, commit: str) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """As `_known_data`, for the state of the store at a commit."""
    found = []
    for name in dataset_names(store):
        newest = versions(store, name)[:_REVISIONS]
        told = [(pin, f"{pin.named}, {counted(pin.images, 'image')}, {when:%Y-%m-%d %H:%M} UTC") for when, pin in newest]
        found.append((name, tuple((f"{pin.path}@{pin.rev[:12]}", text) for pin, text in told)))
    return tuple(found)
