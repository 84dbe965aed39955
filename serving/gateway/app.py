"""The gateway's application: addresses, and what is asked of the backend.

POST /v1/{operation}                                       of the model that serves, if there is only one
POST /v1/models/{name}/{operation}
POST /v1/models/{name}/versions/{version}/{operation}
GET  /v1/release, /v1/models/{name}/release                which version serves
GET  /healthz, /readyz                                     without a key
GET  /metrics
GET  /docs, /v1/openapi.json                               the operations, with calls to copy; without a key
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from prometheus_client.registry import Collector
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from model.errors import GlocalError, InvalidInput, NotFound, TooLarge, TooSlow, Unavailable
from serving.backends.port import Asking, Served
from serving.gateway.batches import Answers
from serving.gateway.bodies import Asked, parse_body
from serving.gateway.challenge import Challenges
from serving.gateway.drift import Drift
from serving.gateway.guard import Guard
from serving.gateway.keys import Key, KeyFile, Scope
from serving.gateway.metrics import Metrics
from serving.gateway.openapi import add_document, described, page
from serving.gateway.problems import problem
from serving.gateway.room import Body, Room
from serving.gateway.samples import Samples
from serving.operations import OPERATIONS, Operation
from serving.operations.query import Query
from serving.protocol import MODEL_NAME, MODEL_VERSION

_ADDRESSES = ("/v1/{}", "/v1/models/{{name}}/{}", "/v1/models/{{name}}/versions/{{version}}/{}")
_MAX_OPTIONS = 16
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_DIGITS = 15
READY_S = 5.0
"""Seconds after which a model that does not say so is not ready."""
BODY_S = 60.0
"""Seconds that the body of a request may take to arrive."""


@dataclass(frozen=True)
class Models:
    """The models that can be asked.

    Attributes:
        backend: Who answers.
        served: The versions that serve now, by name of the model.
    """

    backend: Asking
    served: Callable[[], Mapping[str, Served]]

    def choose(self, name: str | None, version: str | None = None) -> Served:
        """The version that a request is for: the named one, else the one that serves.

        Raises:
            NotFound: No such model is served.
            InvalidInput: None is named, and several are served.
            Unavailable: None is named, and none is served.
        """
        served = self.served()
        if name is None:
            if not served:
                raise Unavailable("No model is served.", "Deploy one: glocal run DIR.")
            if len(served) > 1:
                raise InvalidInput("Several models are served.", f"Ask /v1/models/NAME/...: {', '.join(sorted(served))}.")
            name = next(iter(served))
        if name not in served and version is None:
            raise NotFound(f"No model {name[:64]!r} is served.", f"Served: {', '.join(sorted(served)) or 'none'}.")
        known = served.get(name)
        if known is not None and version in {None, known.version}:
            return known
        if not MODEL_NAME.fullmatch(name) or not MODEL_VERSION.fullmatch(str(version)):
            raise NotFound(f"There is no version {str(version)[:64]!r} of {name[:64]!r}.")
        return Served(name, str(version))


def make_app(
    models: Models,
    keys: KeyFile,
    room: Room | None = None,
    challenges: Challenges | None = None,
    samples: Samples | None = None,
    shown: Collection[Collector] = (),
) -> FastAPI:
    """The application, with its guard before it.

    Args:
        models: The models that can be asked.
        keys: The keys that admit callers.
        room: Requests and bytes that may be held.
        challenges: Who answers where no version is named; default: the version that serves.
        samples: What keeps a share of the images; default: none is kept.
        shown: What else is shown at /metrics.
    """
    room = room or Room()
    drift = Drift()
    tried = challenges.tried if challenges else list
    metrics = Metrics(room, lambda: [*models.served().values(), *tried()], drift, *([challenges.metrics] if challenges else []))
    for each in shown:
        metrics.show(each)
    app = _Gateway(keys, metrics)
    endpoints = [
        (operation.name, _endpoint(operation, models, challenges, room, metrics, drift, samples), described(operation))
        for operation in OPERATIONS.values()
    ]
    for address in _ADDRESSES:
        for name, endpoint, extra in endpoints:
            app.router.add_api_route(
                address.format(name),
                endpoint,
                methods=["POST"],
                response_model=None,
                openapi_extra=extra,
                route_class_override=_Direct,
            )
    _add_states(app, models, metrics)
    add_document(app)
    return app


class _Gateway(FastAPI):
    """FastAPI with the guard alone between the server and the routes: its own middlewares have nothing to do here."""

    def __init__(self, keys: KeyFile, metrics: Metrics) -> None:
        silent: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
        super().__init__(title="Glocal", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json", telemetry=silent)
        self._keys, self._metrics = keys, metrics

    def build_middleware_stack(self) -> ASGIApp:
        """The guard, which makes a problem document of every error, before the routes."""
        return Guard(AsyncExitStackMiddleware(self.router), self._keys, self._metrics)


class _Direct(APIRoute):
    """A route whose endpoint reads the request itself: FastAPI, which describes it, has nothing to parse or to inject."""

    async def handle(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer by the endpoint alone."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # refuses it
            return
        response: Response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def _endpoint(
    operation: Operation[Any],
    models: Models,
    challenges: Challenges | None,
    room: Room,
    metrics: Metrics,
    drift: Drift,
    samples: Samples | None,
) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        request.state.operation = operation.name
        version = request.path_params.get("version")
        served = models.choose(request.path_params.get("name"), version)

        async def ask(queries: Sequence[Query]) -> Answers:
            try:
                if challenges is None or version is not None:
                    return await models.backend.ask(served, queries)
                return await challenges.ask(served, queries, request.state.key.id)
            except NotFound as error:
                if not served.release:
                    raise
                said = (
                    f"Version {served.version} of {served.name} is not up yet."  # a server that was started anew brings it back
                )
                raise Unavailable(said, "Try again in a second; glocal serve status tells more.") from error

        key: Key = request.state.key
        with room.request(for_operator=Scope.OPERATOR in key.scopes) as body:
            with room.arrival(key.id):
                data = await _read(request, body)
            asked = parse_body(operation, request.headers.get("content-type", ""), data, _options(request))
            del data
            answers = await _unless_gone(request, _answers(ask, asked))
        good = [answer for answer in answers if not isinstance(answer, GlocalError)]

        def note() -> None:
            metrics.answered(operation.name, good)
            drift.note(served, operation.name, good)
            if samples is not None:
                samples.note(asked.queries, answers)

        request.state.note = note  # the guard calls it later
        return _response(answers, is_batch=asked.is_batch)

    return endpoint


async def _read(request: Request, body: Body) -> bytes:
    """The body of a request, whose parts find room before they are kept.

    Raises:
        TooLarge: It has too many bytes, or says so.
        TooSlow: It does not arrive in time.
    """
    data = bytearray()
    declared = request.headers.get("content-length", "0")
    if len(declared) > _DIGITS:
        raise TooLarge("The request says that it has far more bytes than a request may have.", "Send fewer or smaller images.")
    body.refuse_beyond(int(declared))
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body.grow(len(part))
                data += part
    except TimeoutError as error:
        raise TooSlow(f"The request did not arrive within {BODY_S:g} seconds.", "Send it again.") from error
    return bytes(data)


async def _unless_gone(request: Request, answering: Coroutine[Any, Any, Answers]) -> Answers:
    """The answers. If the client hangs up, they are not waited for, and what has not gone to a worker does not go.

    Raises:
        ClientDisconnect: It has hung up.
    """
    asking, has_gone = asyncio.current_task(), False

    async def cancel_when_gone() -> None:
        nonlocal has_gone
        await request.receive()
        has_gone = True
        if asking is not None:
            asking.cancel()

    watching = asyncio.create_task(cancel_when_gone())
    try:
        return await answering  # cancelled, it ends once nothing holds the images
    except asyncio.CancelledError:
        if has_gone and asking is not None and not asking.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()


def _options(request: Request) -> dict[str, str]:
    options = dict(request.query_params)
    if len(options) > _MAX_OPTIONS:
        raise InvalidInput(f"An address has at most {_MAX_OPTIONS} options.")
    return options


async def _answers(ask: Callable[[Sequence[Query]], Awaitable[Answers]], asked: Asked) -> Answers:
    good = [query for query in asked.queries if isinstance(query, Query)]
    answers = iter(await ask(good) if good else [])
    return [next(answers) if isinstance(query, Query) else query for query in asked.queries]


def _response(answers: Answers, *, is_batch: bool) -> Response:
    if is_batch:
        return _json({"answers": [{"error": problem(one)} if isinstance(one, GlocalError) else one for one in answers]})
    (answer,) = answers
    if isinstance(answer, GlocalError):
        raise answer
    return _json(answer)


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _add_states(app: FastAPI, models: Models, metrics: Metrics) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the gateway lives."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether a worker of every served model answers."""
        served = models.served().values()
        try:
            async with asyncio.timeout(READY_S):
                ready = await asyncio.gather(*(models.backend.ready(each) for each in served))
        except TimeoutError:
            ready = [False]
        is_ready = bool(ready) and all(ready)
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @app.get("/v1/release")
    @app.get("/v1/models/{name}/release")
    async def release(name: str | None = None) -> dict[str, str]:
        """Which version serves."""
        served = models.choose(name)
        return {
            "model": served.name,
            "model_version": served.version,
            "release": served.release,
            "embedding_space_id": served.embedding_space_id,
        }

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        """The operations, for a person."""
        return HTMLResponse(page(str(request.base_url).rstrip("/")), headers={"Content-Security-Policy": _POLICY})

    @app.get("/metrics")
    async def text() -> Response:
        """Metrics as Prometheus reads them."""
        return Response(metrics.text(), media_type=metrics.MEDIA_TYPE)
