"""The guard before the application: a request gets an id, shows its key and is logged; an error becomes a problem document.

It works on the path as it was sent, so that no way of writing an address gets past it.
"""

import asyncio
import logging
import re
import secrets
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import GlocalError, NotAllowed, NotFound
from model.text import visible
from serving.gateway.audit import AUDIT
from serving.gateway.keys import KeyFile
from serving.gateway.keys import Scope as KeyScope
from serving.gateway.metrics import Metrics
from serving.gateway.problems import problem_response
from serving.operations import OPERATIONS

OPEN = frozenset({b"/healthz", b"/readyz", b"/docs", b"/v1/openapi.json"})
"""The only paths that need no key."""
REQUEST_ID = "X-Request-Id"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST = 200
NOTE_S = 0.005
"""Seconds from a good answer until it is counted and logged, so that its client's next request does not wait for that. Only where
nothing else is asked meanwhile: to wake once more for each of many answers costs a quarter of the throughput."""
_access = logging.getLogger("glocal.gateway.access")
_log = logging.getLogger("glocal.gateway")


class Guard:
    """ASGI middleware.

    Args:
        app: The application behind it.
        keys: The keys that admit callers.
        metrics: What is counted.
    """

    def __init__(self, app: ASGIApp, keys: KeyFile, metrics: Metrics) -> None:
        self._app, self._keys, self._metrics = app, keys, metrics
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a problem document."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, sent = time.perf_counter(), _Sent(send, _request_id(scope))
        scope.setdefault("state", {})["request_id"] = sent.request_id
        self._held += 1
        try:
            if _raw_path(scope) not in OPEN:
                key = scope["state"]["key"] = self._keys.known(_bearer(scope))  # the logs name it, whatever it allows
                key.check(KeyScope.CALLER)
            await self._app(scope, receive, sent)
        except GlocalError as error:
            await self._refuse(scope, receive, sent, error)
        except HTTPException as error:
            await self._refuse(scope, receive, sent, _of_routes(scope, error))
        except ClientDisconnect:
            _log.info("The client of request %s has gone.", sent.request_id)
        except Exception:
            _log.exception("Request %s failed.", sent.request_id)
            await self._refuse(scope, receive, sent, GlocalError("The request could not be answered.", "See the gateway's log."))
        finally:
            self._held -= 1
            seconds, is_lonely = time.perf_counter() - began, self._held == 0 and (sent.status or 499) < 400
            asyncio.get_running_loop().call_later(NOTE_S if is_lonely else 0, self._note, scope, sent, seconds)

    async def _refuse(self, scope: Scope, receive: Receive, sent: "_Sent", error: GlocalError) -> None:
        if sent.status is None:
            await problem_response(error, sent.request_id)(scope, receive, sent)

    def _note(self, scope: Scope, sent: "_Sent", seconds: float) -> None:
        """Count and log one request; a refusal of a key gets a line in the audit log as well."""
        status, key = sent.status or 499, scope["state"].get("key")
        self._metrics.request(scope["state"].get("operation", "other"), status, seconds)
        who, path = key.id if key else "-", visible(_raw_path(scope).decode("latin-1"))[:_LONGEST]
        line = (sent.request_id, who, scope["method"][:16], path, status, round(1000 * seconds, 1))
        _access.info("%s key=%s %s %s %s %s ms", *line)
        if status in {401, 403}:
            AUDIT.warning("refused %s key=%s %s %s %s", *line[:5])
        if note := scope["state"].get("note"):
            note()


class _Sent:
    """The way back: notes the status, and puts the request's id into the head of the answer."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self.request_id
        await self._send(message)


def _of_routes(scope: Scope, error: HTTPException) -> GlocalError:
    """What the routes refuse: an address that is none, or a method that the address does not have."""
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return NotAllowed(f"{scope['method'][:16]} is not allowed here.", "Send an image by POST.")
    return NotFound(f"There is nothing at {scope['path'][:100]!r}.", f"Operations: POST /v1/{', /v1/'.join(OPERATIONS)}.")


def _raw_path(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    return raw.partition(b"?")[0]


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _bearer(scope: Scope) -> str | None:
    kind, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None
