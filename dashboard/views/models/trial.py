"""A version is tried beside the one that serves, as a shadow or a canary: started, watched, ended."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from dashboard.views.models.changing import busy
from dashboard.views.models.endpoint import Serving
from dashboard.views.models.found import Found, find_version, open_model, serving_now
from model.environment import Environment
from model.errors import Conflict, GlocalError
from model.schemas.challenge import TriedOperation
from pipelines.actions.action import Caller
from pipelines.actions.endpoint import show_challenge
from pipelines.jobs.job import begin_job, new_key, under_way
from pipelines.jobs.serving import SERVING, challenge, stop_challenge

router = APIRouter(include_in_schema=False)
_FRESH = {"mode": "shadow", "share": "10", "errors": "5", "latency": "2", "workers": "1"}
_LIMITS = {
    "share": (0.0, 100.0, "A percentage from 0 to 100."),
    "errors": (0.0, 100.0, "A percentage from 0 to 100."),
    "latency": (1.0, 1000.0, "A number from 1 to 1000."),
    "workers": (1.0, 16.0, "A whole number from 1 to 16."),
}
"""Lowest and highest value of each field, and what a mistake is told."""


@router.get("/models/{name}/trial")
def watch(request: Request, person: Viewer, name: str) -> Response:
    """The version that is tried, its terms, and what was measured."""
    environment = request.app.state.environment
    serving, error = _serving(environment, name), None
    measured: dict[str, TriedOperation] = {}
    if serving.challenger is not None:
        try:
            measured = show_challenge(Caller(environment, person.name), name).measured
        except GlocalError as unread:
            error = unread
    shown: dict[str, Any] = {
        "name": name,
        "serving": serving,
        "measured": measured,
        "error": error,
        "change": under_way(environment.home, SERVING),
        "now": datetime.now(UTC),
    }
    return page(request, "models/trial.html", part="models", key=new_key(), **shown)


@router.post("/models/{name}/trial/end")
def end(request: Request, person: Operator, name: str, key: Annotated[str, Form()] = "") -> Response:
    """Begin to end the trial."""
    environment = request.app.state.environment
    if _serving(environment, name).challenger is None:
        raise Conflict(f"No version of {name[:100]} is tried.", "It has been ended already.")
    job = begin_job(environment.home, stop_challenge.asked(model=name), by=person.name, key=key)
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.get("/models/{name}/{version}/trial")
def form(request: Request, person: Operator, name: str, version: str) -> Response:
    """The form that starts a trial."""
    return _form(request, find_version(request.app.state.environment, name, version), _FRESH)


@router.post("/models/{name}/{version}/trial")
def start(
    request: Request,
    person: Operator,
    name: str,
    version: str,
    key: Annotated[str, Form()] = "",
    mode: Annotated[str, Form()] = "",
    share: Annotated[str, Form()] = "",
    errors: Annotated[str, Form()] = "",
    latency: Annotated[str, Form()] = "",
    workers: Annotated[str, Form()] = "",
) -> Response:
    """Begin to start a trial."""
    environment = request.app.state.environment
    found = find_version(environment, name, version)
    typed = {"mode": mode, "share": share, "errors": errors, "latency": latency, "workers": workers}
    values, mistakes = _read(typed)
    if mistakes:
        return _form(request, found, typed, mistakes=mistakes)
    try:
        if obstacle := _obstacle(found):
            raise obstacle
        asked = challenge.asked(model=name, version=found.version.version, **values)
        job = begin_job(environment.home, asked, by=person.name, key=key)
    except GlocalError as error:
        return _form(request, found, typed, error=error)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _serving(environment: Environment, name: str) -> Serving:
    """What the endpoint serves of a model; raises as `open_model`."""
    _, aliases = open_model(environment, name)
    return serving_now(environment, name, aliases.get("champion"))


def _form(
    request: Request,
    found: Found,
    typed: Mapping[str, str],
    *,
    mistakes: Mapping[str, str] | None = None,
    error: GlocalError | None = None,
) -> Response:
    status = error.http_status if error else 422 if mistakes else 200
    shown = {"found": found, "version": found.version, "typed": typed, "mistakes": mistakes or {}, "error": error}
    obstacle = None if error else _obstacle(found) or busy(request.app.state.environment.home)
    return page(request, "models/try.html", part="models", status=status, key=new_key(), obstacle=obstacle, **shown)


def _obstacle(found: Found) -> GlocalError | None:
    """Why a version cannot be tried, whatever is typed; None if it can."""
    version, champion, serving = found.version, found.champion, found.serving
    try:
        if serving.version is None:
            raise Conflict(f"No version of {found.name} serves, so none can be tried beside it.", serving.hint)
        if serving.version == version.version:
            raise Conflict(f"{version.label} serves.", "Another version is tried beside it.")
        if version.removed:
            raise Conflict(f"The files of {version.label} were removed.", "Run the pipeline again.")
        if champion is not None and version.data_name != champion.data_name:
            raise Conflict(
                f"{version.label} was made from {version.data_name or 'unknown data'}, the champion from {champion.data_name}.",
                "A version is tried beside one of the same data set.",
            )
    except GlocalError as error:
        return error
    return None


def _read(typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The terms that were typed, and what is wrong with them by the name of the field."""
    numbers, mistakes = dict[str, float](), dict[str, str]()
    for name, (lowest, highest, said) in _LIMITS.items():
        try:
            numbers[name] = float(typed[name])
            right = lowest <= numbers[name] <= highest and (name != "workers" or numbers[name].is_integer())
        except ValueError:
            right = False
        if not right:
            mistakes[name] = said
    if typed["mode"] not in {"shadow", "canary"}:
        mistakes["mode"] = "Choose shadow or canary."
    if mistakes:
        return {}, mistakes
    terms = {"max_latency_ratio": numbers["latency"], "workers": int(numbers["workers"])}
    shares = {"share": numbers["share"] / 100, "max_error_rate": numbers["errors"] / 100}
    return {"mode": typed["mode"], **shares, **terms}, {}
