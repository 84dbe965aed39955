"""The JSON API: an address for each action, with OpenAPI. Who may ask for which is on the list of actions."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from dashboard.rendering import page
from dashboard.security.people import Person, Role, Viewer, requiring
from pipelines.actions import data, endpoint, models, runs
from pipelines.actions.action import ACTIONS, API, Action, Caller

MODULES = (runs, models, data, endpoint)
"""The actions' files, each of which becomes a part of the document."""
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
            responses={"default": {**_PROBLEM, "content": {"application/problem+json": {}}}},
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

    def answer(request: Request, person: Person, **arguments: Any) -> Any:
        return asked.function(Caller(request.app.state.environment, person.name), **arguments)

    def parameter(name: str, kind: Any) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)

    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in asked.parameters]
    if asked.method != "GET":
        in_body = Body(embed=True)
        own = [
            each if f"{{{each.name}}}" in asked.path else each.replace(annotation=Annotated[each.annotation, in_body])
            for each in own
        ]
    common = [parameter("request", Request), parameter("person", Annotated[Person, requiring(Role(asked.role))])]
    answer.__signature__ = inspect.Signature([*common, *own])  # type: ignore[attr-defined]  # what FastAPI reads
    answer.__name__ = asked.name
    return answer
