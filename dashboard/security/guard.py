"""The guard before every page: the host that was asked, who asks, where a change comes from, how much and how many requests a
person may send, and the headers of every answer."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.security.people import Person, Role, Roles, is_name
from dashboard.security.sessions import Sessions
from model.errors import Forbidden, GlocalError, Overloaded, TooLarge, Unauthorized
from serving.gateway.keys import KeyFile
from serving.gateway.keys import Scope as KeyScope

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy: nothing from another host, no script or style within a page."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
MAX_FILES, MAX_JSON, MAX_BODY, MAX_UNKNOWN = 256 * 2**20, 64 * 2**20, 2**20, 64 * 2**10
"""Maximum bytes of a form with files, of JSON, which holds files as base64, of any other request, and of a request of whoever has
not signed in."""
MAX_VALUES = 2**16
"""Maximum values in JSON, counted before it is parsed: each takes many times the memory of its text."""
MAX_HELD = 512 * 2**20
"""Maximum bytes of the bodies of all requests that are under way."""
BODY_S, UNKNOWN_S = 300.0, 20.0
"""Seconds in which the body of a request must arrive, and that of whoever has not signed in."""
AT_ONCE = 32
"""Requests of one person that are answered at once, with the event streams of the person's pages."""
SAFE = {"GET", "HEAD", "OPTIONS"}
"""Methods that change nothing."""
_TOO_LARGE = "The request is larger than this dashboard takes."
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def secure(headers: MutableHeaders) -> None:
    """Give an answer the headers that every answer has."""
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", POLICY)
    headers.setdefault("Cache-Control", "no-store")


@dataclass(frozen=True)
class Proxy:
    """A proxy that signs people in and names them in a header.

    Attributes:
        header: The header.
        addresses: Networks that the proxy may send from; the header is believed from there alone.
        roles: Who has which role; whoever has none is not let in.
    """

    header: str
    addresses: tuple[str, ...]
    roles: Roles

    def person(self, client: str, headers: Headers) -> Person | None:
        """The person that the proxy names; None if it does not, or if it is not the proxy that asks."""
        named = headers.getlist(self.header)
        name = named[0].strip() if len(named) == 1 else ""  # of two, one may be of the client
        try:
            trusted = any(ipaddress.ip_address(client) in ipaddress.ip_network(each, strict=False) for each in self.addresses)
        except ValueError:
            return None
        role = self.roles.of(name) if trusted and is_name(name) else None
        return Person(name, role) if role else None


class _Held:
    """The bytes of the bodies of all requests that are under way."""

    bytes = 0


class _Body:
    """The body of a request, as far as it has arrived.

    Args:
        receive: Where it comes from.
        most: Maximum bytes.
        seconds: Time in which it must be there, from the first time that it is asked for.
        is_json: Whether its values are counted.
        held: The bytes of all requests, of which its own are a part until it is released.
    """

    def __init__(self, receive: Receive, *, most: int, seconds: float, is_json: bool, held: _Held) -> None:
        self._receive, self._most, self._seconds, self._is_json, self._held = receive, most, seconds, is_json, held
        self._read, self._values, self._deadline, self._whole = 0, 0, 0.0, False

    async def __call__(self) -> Message:
        """The next part; when it is whole, that the client has gone.

        Raises:
            HTTPException: It has too many bytes or values, does not arrive in time, or finds no room beside the others. FastAPI
                takes any other error for a damaged body.
        """
        if self._whole:
            return await self._receive()
        self._deadline = self._deadline or asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, f"The request did not arrive within {self._seconds:g} seconds.") from error
        part = message.get("body", b"")
        self._read += len(part)
        self._held.bytes += len(part)
        self._values += sum(map(part.count, (b",", b"[", b"{"))) if self._is_json else 0
        self._whole = not message.get("more_body", False)
        if self._read > self._most or self._values > MAX_VALUES:
            raise HTTPException(413, _TOO_LARGE)
        if self._held.bytes > MAX_HELD:
            raise HTTPException(503, "Too much is being sent to this dashboard at this moment; send it again in a minute.")
        return message

    def release(self) -> None:
        """Its request has been answered."""
        self._held.bytes -= self._read


class Guard:
    """ASGI middleware.

    A request to a host that is not ours is refused, so that no name of another site leads here. A change must come from our own
    pages: browsers say where a request comes from. Who asks is known by a key, a session, or a proxy's header, in this order.
    Bodies are bounded before anything reads them, and nobody can have so many requests that others find no room.

    Args:
        app: What is guarded.
        cookie: Name of the session's cookie.
        sessions: The sessions.
        keys: The API keys of the endpoint; the scope `caller` is a viewer here.
        hosts: Hosts, with their ports, beside this machine's own names.
        proxy: The proxy that signs people in, if there is one.
        refuse: The answer to a request that is refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        refuse: Callable[[Request, GlocalError], Response],
        cookie: str,
        sessions: Sessions,
        keys: KeyFile,
        hosts: Iterable[str] = (),
        proxy: Proxy | None = None,
    ) -> None:
        self._app, self._cookie, self._sessions, self._keys = app, cookie, sessions, keys
        self._hosts, self._proxy, self._refuse = frozenset(hosts), proxy, refuse
        self._under_way, self._held = Counter[str](), _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and answer it, or let it through."""
        if scope["type"] == "lifespan":  # nobody asks for anything: the application begins and ends
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check_host(headers)
            person = scope["person"] = self._person(scope, headers)
            if scope["method"] not in SAFE and "authorization" not in headers:
                self._check_origin(headers)
            body = self._body(receive, person, headers)
            if person is not None and self._under_way[person.name] >= AT_ONCE:
                raise Overloaded(f"{person.name} has {AT_ONCE} requests under way.", "Close some pages, or wait a moment.")
        except GlocalError as error:
            await self._refuse(Request(scope), error)(scope, receive, protected)
            return
        name = person.name if person else ""
        self._under_way[name] += 1
        try:
            await self._app(scope, body, protected)
        finally:
            self._under_way -= Counter([name])
            body.release()

    def _body(self, receive: Receive, person: Person | None, headers: Headers) -> _Body:
        """The body of a request, with the limits for who sends it.

        Raises:
            TooLarge: It says itself that it is larger.
        """
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = kind.endswith(("/json", "+json"))
        most = MAX_FILES if kind == "multipart/form-data" else MAX_JSON if is_json else MAX_BODY
        most = MAX_UNKNOWN if person is None else most
        declared = headers.get("content-length", "0")
        if len(declared) > 15 or (declared.isdecimal() and int(declared) > most):
            raise TooLarge(_TOO_LARGE, "Send fewer or smaller images.")
        seconds = UNKNOWN_S if person is None else BODY_S
        return _Body(receive, most=most, seconds=seconds, is_json=is_json, held=self._held)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if host not in self._hosts and host.rpartition(":")[0] not in _LOCAL and host not in _LOCAL:
            raise Forbidden(
                f"This dashboard is not {host[:100]!r}.", "Ask it by the address that it printed; see GLOCAL_DASHBOARD_ADDRESS."
            )

    def _check_origin(self, headers: Headers) -> None:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        ours = urlsplit(origin).netloc == headers.get("host") if origin is not None else site in {None, "same-origin", "none"}
        if not ours or site in {"cross-site", "same-site"}:
            raise Forbidden("This change was asked for by another site's page.", "Make it on the dashboard's own page.")

    def _person(self, scope: Scope, headers: Headers) -> Person | None:
        if (shown := headers.get("authorization")) is not None:
            scheme, _, secret = shown.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized("This address takes a session or a key.", "Send the header Authorization: Bearer KEY.")
            key = self._keys.known(secret.strip())
            role = Role.OPERATOR if KeyScope.OPERATOR in key.scopes else Role.VIEWER
            key.check(KeyScope.OPERATOR if role is Role.OPERATOR else KeyScope.CALLER)
            return Person(key.name, role)
        cookies = cookie_parser(headers.get("cookie", ""))
        if (cookie := cookies.get(self._cookie)) and (person := self._sessions.person(cookie)):
            return person
        client = scope.get("client") or ("", 0)
        named = self._proxy.person(client[0], headers) if self._proxy else None
        return replace(named, csrf=self._sessions.csrf_of(named.name)) if named else None
