"""The JSON API: an address for each action, with OpenAPI. Who may ask for which is on the list of actions.

An action that takes long is done by a job, as on the pages. Its answer comes when the job has ended; or, to a request with the
header `Prefer: respond-async`, at once: 202, with the job and its address in `Location`.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Header, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from dashboard.rendering import page
from dashboard.security.people import Person, Role, Viewer, requiring
from model.errors import Unavailable
from model.files import sha256_json
from pipelines.actions import corrections, data, endpoint, galleries, jobs, models, runs
from pipelines.actions.action import ACTIONS, ANSWER_S, API, ASYNC, Action, Caller
from pipelines.jobs.job import begin_job, find_job
from pipelines.jobs.kind import Kind
from pipelines.jobs.kinds import KINDS
from pipelines.jobs.status import JobStatus
from serving.processes import wait_until

MODULES = (runs, models, galleries, data, corrections, endpoint, jobs)
"""The actions' files, each of which becomes a part of the document."""
KIND_OF: dict[Any, Kind[Any, Any]] = {each.action: each for each in KINDS.values()}
"""The kind of job that does an action, by the action's function; an action without one is done at once."""
_BEGUN = {
    "description": "The job that does it, asked for by Prefer: respond-async; its address is in Location",
    "model": JobStatus,
}
_PREFER = "respond-async: the answer is the job that does it"
_KEY = "What is sent twice with the same key, by the same person, is one job"
_PAUSE_S = 0.2
_PROBLEM = {"description": "What went wrong, and what to do (RFC 9457)"}


def add_api(app: FastAPI) -> None:
    """Give the application an address for each action, and the document of all of them."""
    router = APIRouter(prefix=API)
    for each in ACTIONS:
        router.add_api_route(
            each.path,
            _endpoint(each),
            methods=[each.method],
            name=each.name,
            operation_id=each.name,
            response_model=each.result,
            description=inspect.getdoc(each.function),
            tags=[each.function.__module__.rpartition(".")[2]],
            responses={
                "default": {**_PROBLEM, "content": {"application/problem+json": {}}},
                **({202: _BEGUN} if each.function in KIND_OF else {}),
            },
        )
    app.include_router(router)

    @cache
    def document() -> dict[str, Any]:
        made = get_openapi(title="Glocal", version="1", description=__doc__, routes=router.routes)
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        return {**made, "security": [{"key": []}]}

    @app.get(f"{API}/openapi.json", include_in_schema=False)
    def openapi(person: Viewer) -> Response:
        return JSONResponse(document())

    @app.get("/api", include_in_schema=False)
    def shown(request: Request, person: Viewer) -> Response:
        return page(request, "api.html", part="", document=document(), address=request.app.state.address)


def _endpoint(asked: Action) -> Callable[..., Any]:
    """The function that FastAPI calls: it has the action's arguments, and in place of the caller the person who asks."""
    kind = KIND_OF.get(asked.function)

    def answer(request: Request, person: Person, prefer: str = "", idempotency_key: str = "", **arguments: Any) -> Any:
        caller = Caller(request.app.state.environment, person.name)
        if kind is None:
            return asked.function(caller, **arguments)
        key = sha256_json([person.name, idempotency_key])[:16] if idempotency_key else None
        return _by_job(kind, caller, arguments, key=key, waits=ASYNC not in prefer, is_stopping=request.app.state.is_stopping)

    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in asked.parameters]
    if asked.method != "GET":
        in_body = Body(embed=True)
        own = [
            each if f"{{{each.name}}}" in asked.path else each.replace(annotation=Annotated[each.annotation, in_body])
            for each in own
        ]
    common = [_parameter("request", Request), _parameter("person", Annotated[Person, requiring(Role(asked.role))])]
    if kind is not None:
        common += [_parameter("prefer", Annotated[str, Header(description=_PREFER)], "")]
        common += [_parameter("idempotency_key", Annotated[str, Header(description=_KEY)], "")]
    answer.__signature__ = inspect.Signature([*common, *own])  # type: ignore[attr-defined]  # what FastAPI reads
    answer.__name__ = asked.name
    return answer


def _by_job(
    kind: Kind[Any, Any],
    caller: Caller,
    arguments: dict[str, Any],
    *,
    key: str | None,
    waits: bool,
    is_stopping: Callable[[], bool],
) -> Response:
    """What an action answers that a job does; or the job, for whoever does not wait."""
    home = caller.environment.home
    asked = kind.asked(**arguments)
    kind.check(caller, **arguments)
    job = begin_job(home, asked, by=caller.name, key=key)
    if not waits:
        headers = {"Location": f"{API}/jobs/{job.id}", "Preference-Applied": ASYNC}
        return JSONResponse(job.status.model_dump(mode="json"), 202, headers)
    wait_until(lambda: is_stopping() or not find_job(home, job.id).runs, deadline_s=ANSWER_S, pause_s=_PAUSE_S)
    ended = find_job(home, job.id)
    if ended.runs:
        raise Unavailable(f"{job.record.by} is {job.doing}, and it has not ended yet.", f"Look at it: {API}/jobs/{job.id}.")
    return JSONResponse(ended.whole_status.outcome())


def _parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
