"""The dashboard's application: its parts, and what is common to all of their addresses.

A page's address is in `views/`, in the file of its part. Each calls the functions that the command line calls, and shows what
they return.
"""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from dashboard.api import add_api
from dashboard.forms import LIMITS, read_form
from dashboard.monitoring.monitor import Monitor
from dashboard.rendering import STATIC, page
from dashboard.security import oidc
from dashboard.security.audit import note
from dashboard.security.guard import SAFE, Guard, Proxy, secure
from dashboard.security.oidc import Provider
from dashboard.security.people import Roles
from dashboard.security.sessions import Sessions
from dashboard.views import data, health, history, jobs, models, runs, signing_in, trying
from model.disk import system_error
from model.environment import Environment
from model.errors import Forbidden, GlocalError, InvalidInput, NotAllowed, NotFound, TooLarge, TooSlow, Unavailable
from serving.gateway.keys import KeyFile
from serving.gateway.problems import RETRY_AFTER_S, problem_response

API = "/api/"
_SERVICES = {
    **dict.fromkeys(("mlflow", "sqlalchemy", "sqlite3", "alembic"), "MLflow"),
    **dict.fromkeys(("httpx", "httpcore", "requests", "urllib3"), "A service"),
    **dict.fromkeys(("dvc", "dvc_data", "dvc_objects", "botocore"), "The data store"),
}
"""Whose failure an error is by the package that it comes from, where none of ours has translated it."""
_KINDS: dict[int, type[GlocalError]] = {each.http_status: each for each in (NotAllowed, TooSlow, TooLarge, Unavailable)}
"""The errors that a status of FastAPI's stands for; any other is a request that cannot be used."""
_log = logging.getLogger("glocal.dashboard")


def make_app(environment: Environment, *, address: str) -> FastAPI:
    """The application.

    Args:
        environment: The home, the registry, and the settings of the dashboard.
        address: Address by which browsers find it.
    """
    app = FastAPI(
        title="Glocal",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(_check_form)],
        form_limits=LIMITS,  # type: ignore[arg-type]  # whose type is private
        lifespan=_watched,
    )
    people = (environment.dashboard_viewers, environment.dashboard_operators, environment.dashboard_admins)
    roles = Roles(*(frozenset(each) for each in people))
    sessions = Sessions(environment.home.dashboard, roles)
    app.state.environment, app.state.sessions, app.state.address = environment, sessions, address
    app.state.is_stopping = lambda: False  # said by the server that runs it, for streams that would keep it from ending
    app.state.monitor = Monitor(environment)
    app.state.cookie = f"glocal_{urlsplit(address).port or 'session'}"
    app.add_middleware(
        Guard,
        cookie=app.state.cookie,
        sessions=sessions,
        keys=KeyFile(environment.home.serve.keys),
        hosts=[urlsplit(address).netloc],
        proxy=_proxy(environment, roles),
        refuse=_answer,
    )
    app.state.provider = None
    if environment.dashboard_oidc_issuer:
        app.state.provider = Provider(environment, roles)
        app.include_router(oidc.router)
        app.add_middleware(oidc.PendingSignIn, secret=sessions.key, secure=address.startswith("https:"))
    app.mount("/static", _Static(directory=STATIC))
    for part in (signing_in, runs, models, history, trying, data, jobs, health):
        app.include_router(part.router)
    add_api(app)
    answers = {GlocalError: _explained, RequestValidationError: _invalid, HTTPException: _http, OSError: _refused}
    for kind, answer in answers.items():
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(Exception, _unforeseen)

    @app.get("/", include_in_schema=False)
    def first() -> Response:
        return RedirectResponse("/runs", 303)

    @app.get("/healthz", include_in_schema=False)
    def alive() -> dict[str, str]:
        return {"status": "ok"}

    return app


@asynccontextmanager
async def _watched(app: FastAPI) -> AsyncIterator[None]:
    """The monitor looks while the application serves."""
    app.state.monitor.start()
    try:
        yield
    finally:
        app.state.monitor.close()


class _Static(StaticFiles):
    """Files that never change under one address, as it has their hash."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


async def _check_form(request: Request) -> None:
    """Refuse a change whose form is not of the session that sends it, and write changes into the audit log.

    A script of our pages sends the session's token as the header X-CSRF-Token, a form as its field `csrf`.
    """
    if request.method in SAFE:
        return
    person = request.scope.get("person")
    if person is not None and person.csrf:
        shown = request.headers.get("x-csrf-token") or (await read_form(request)).get("csrf")
        if not isinstance(shown, str) or not secrets.compare_digest(shown.encode(), person.csrf.encode()):
            raise Forbidden("The form is not of this session.", "Load the page again, and send it once more.")
    note(request, "asked")


def _proxy(environment: Environment, roles: Roles) -> Proxy | None:
    if not environment.dashboard_user_header:
        return None
    return Proxy(environment.dashboard_user_header, environment.dashboard_proxies, roles)


def _answer(request: Request, error: GlocalError) -> Response:
    """An error as a page, or for a program as a problem document."""
    if error.http_status in {401, 403}:
        note(request, f"refused {error.http_status}")
    if request.url.path.startswith(API) or "text/html" not in request.headers.get("accept", "text/html"):
        return problem_response(error, "")
    shown = page(request, "error.html", part="", status=error.http_status, error=error)
    if error.retry:
        shown.headers["Retry-After"] = str(RETRY_AFTER_S)
    return shown


def _explained(request: Request, error: Any) -> Response:
    return _answer(request, error)


def _invalid(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    named = ".".join(str(each) for each in first["loc"][1:]) or "the request"
    return _answer(request, InvalidInput(f"{named[:100]}: {first['msg']}."))


def _http(request: Request, error: Any) -> Response:
    if (refused := _of_the_system(request, error)) is not None:  # FastAPI takes what the disk refused for a damaged body
        return _answer(request, refused)
    known: GlocalError = NotFound("There is no such page.", "The parts of the dashboard are beside this page.")
    if error.status_code != 404:
        known = _KINDS.get(error.status_code, InvalidInput)(str(error.detail)[:200])
        known.http_status = error.status_code
    return _answer(request, known)


def _refused(request: Request, error: Any) -> Response:
    """What the system refused, most of all the disk; any other error of its kind is a fault."""
    known = _of_the_system(request, error)
    return _unforeseen(request, error) if known is None else _answer(request, known)


def _of_the_system(request: Request, error: Exception) -> GlocalError | None:
    if (known := system_error(error, request.app.state.environment.home.root, "The page Health says what is wrong.")) is not None:
        _log.warning("%s %s: %s", request.method, request.url.path, known)
    return known


def _unforeseen(request: Request, error: Exception) -> Response:
    """What nobody has translated. Starlette answers with it from outside of the guard, which therefore secures it here."""
    answer = _of_a_fault(request, error) if (known := _of_the_system(request, error)) is None else _answer(request, known)
    secure(answer.headers)
    return answer


def _of_a_fault(request: Request, error: Exception) -> Response:
    """A service that failed in its own way, or a fault of ours: the trace goes to the log, under a number that the page tells."""
    number = secrets.token_hex(4)
    _log.error("Fault %s at %s %s", number, request.method, request.url.path, exc_info=error)
    if (service := _SERVICES.get(type(error).__module__.partition(".")[0])) is not None:
        headline = f"{service} does not answer as it should ({type(error).__name__}, number {number} in the dashboard's log)."
        return _answer(request, Unavailable(headline, "The page Health says what is down; try again when it is up."))
    return _answer(
        request, GlocalError(f"This is a fault of the dashboard's. Its number is {number}.", "The dashboard's log has the trace.")
    )
