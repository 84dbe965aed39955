"""The client of an endpoint: the five operations, typed, for programs that wait (`Client`) and that do not (`AsyncClient`)."""

import asyncio
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from model.data.headers import read_header
from model.errors import GlocalError, InvalidInput, NotFound, Overloaded, TooLarge, Unavailable, error_of_code
from model.schemas.status import ServerStatus
from serving.limits import IMAGE_LIMITS, MAX_BYTES
from serving.operations.detect import DetectAnswer
from serving.operations.embed import EmbedAnswer
from serving.operations.identify import IdentifyAnswer
from serving.operations.operation import Answer
from serving.operations.search import SearchAnswer
from serving.operations.verify import VerifyAnswer
from serving.protocol import LOOPBACK, MODEL_NAME, TYPE, bearer

Image = Path | bytes
A = TypeVar("A", bound=Answer)
_BINARY = {"Content-Type": "application/octet-stream"}
_LONGEST_WAIT_S = 10.0
KEPT_S = 3.0
"""Seconds for which an idle connection is kept; the gateway closes it later, so that none is closed under a query."""


@dataclass(frozen=True)
class _Request:
    """A request that is ready to be sent."""

    path: str
    params: dict[str, str]
    body: dict[str, Any]


class _Calls:
    """What both clients have in common.

    Args:
        address: Address of the endpoint, such as http://127.0.0.1:8080.
        key: API key; None sends none.
        timeout_s: Seconds to wait for an answer.
        retries: Number of times that a request for which there was no room is sent again.
    """

    def __init__(self, address: str, key: str | None = None, *, timeout_s: float = 60, retries: int = 2) -> None:
        self.address = address.rstrip("/")
        self._retries = retries
        self._settings: dict[str, Any] = {
            "base_url": self.address,
            "timeout": timeout_s,
            "limits": httpx.Limits(keepalive_expiry=KEPT_S),
            "headers": bearer(key) if key else {},
            "trust_env": not _is_loopback(address),  # no proxy stands between
            "verify": address.startswith("https"),  # reading the authorities' certificates takes longer than a query
        }

    def _nothing_answers(self) -> Unavailable:
        return Unavailable(f"Nothing answers at {self.address}.", "Start the endpoint: glocal serve start.")

    def _pause(self, answer: httpx.Response, tried: int) -> float | None:
        """Seconds until a refused request is sent again; None if it is not."""
        if answer.status_code not in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE} or tried >= self._retries:
            return None
        wanted = answer.headers.get("Retry-After", "")
        return min(float(wanted), _LONGEST_WAIT_S) if wanted.isdecimal() else None


class Client(_Calls):
    """A client that waits for its answers; it keeps its connections, and several threads may share it."""

    _http: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def embed(self, image: Image, *, model: str = "", version: str = "") -> EmbedAnswer:
        """The merged embedding of an image. See `search` for arguments and errors."""
        return self._ask(EmbedAnswer, "embed", [image], {}, model, version)

    def search(
        self,
        image: Image,
        k: int = 5,
        *,
        label: str | None = None,
        group: str | None = None,
        rerank: bool = True,
        matches: bool = False,
        model: str = "",
        version: str = "",
    ) -> SearchAnswer:
        """The nearest images of the gallery.

        Args:
            image: An image file or its bytes; checked here before it is sent.
            k: Number of neighbours, at least 1.
            label: Only neighbours of this class.
            group: Only neighbours of this group.
            rerank: Whether the first answers are sorted again by local features, if the release has them.
            matches: Whether neighbours that were sorted again say where they match the query.
            model: Name of the served model; default: the only one.
            version: Version of the model; default: the one that serves.

        Raises:
            InvalidInput: No image of a known format, or beyond the limits; or the endpoint says so.
            NotFound: The endpoint serves no such model.
            Unauthorized, Forbidden: The key does not admit this.
            Overloaded: The endpoint has as many requests as it can hold, at every try.
            Unavailable: Nothing listens there, or it does not answer in time.
        """
        options = {"k": k, "label": label, "group": group, "rerank": rerank, "matches": matches or None}
        return self._ask(SearchAnswer, "search", [image], options, model, version)

    def verify(
        self,
        image: Image,
        other: Image,
        *,
        false_accept_rate: float | None = None,
        matches: bool = False,
        model: str = "",
        version: str = "",
    ) -> VerifyAnswer:
        """Whether two images show the same thing, and where they match. See `search` for arguments and errors."""
        options = {"false_accept_rate": false_accept_rate, "matches": matches or None}
        return self._ask(VerifyAnswer, "verify", [image, other], options, model, version)

    def identify(
        self, image: Image, *, false_accept_rate: float | None = None, model: str = "", version: str = ""
    ) -> IdentifyAnswer:
        """Which class an image shows, or that it is none of the gallery's. See `search` for arguments and errors."""
        return self._ask(IdentifyAnswer, "identify", [image], {"false_accept_rate": false_accept_rate}, model, version)

    def detect(self, image: Image, *, model: str = "", version: str = "", **options: Any) -> DetectAnswer:
        """Which enrolled objects a scene shows, and where. See `search` for arguments and errors."""
        return self._ask(DetectAnswer, "detect", [image], options, model, version)

    def release(self, model: str = "") -> dict[str, str]:
        """Which version of a model serves: model, model_version, release, embedding_space_id."""
        answer: dict[str, str] = _checked(self._send("GET", _path("release", model, ""), {}, {})).json()
        return answer

    def _ask(self, kind: type[A], operation: str, images: Sequence[Image], options: Mapping[str, Any], *model: str) -> A:
        request = _request(operation, images, options, *model)
        for tried in range(self._retries + 1):
            answer = self._send("POST", request.path, request.params, request.body)
            pause = self._pause(answer, tried)
            if pause is None:
                break
            time.sleep(pause)
        return kind.model_validate_json(_checked(answer).content)

    def _send(self, method: str, path: str, params: dict[str, str], body: dict[str, Any]) -> httpx.Response:
        if self._http is None:
            self._http = _made(httpx.Client, self._settings)
        try:
            return self._http.request(method, path, params=params, **body)
        except httpx.TransportError as error:
            raise self._nothing_answers() from error


class AsyncClient(_Calls):
    """A client for programs with an event loop; the same operations as `Client`."""

    _http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def embed(self, image: Image, *, model: str = "", version: str = "") -> EmbedAnswer:
        """See `Client.embed`."""
        return await self._ask(EmbedAnswer, "embed", [image], {}, model, version)

    async def search(self, image: Image, k: int = 5, *, model: str = "", version: str = "", **options: Any) -> SearchAnswer:
        """See `Client.search`."""
        return await self._ask(SearchAnswer, "search", [image], {"k": k, **options}, model, version)

    async def verify(self, image: Image, other: Image, *, model: str = "", version: str = "", **options: Any) -> VerifyAnswer:
        """See `Client.verify`."""
        return await self._ask(VerifyAnswer, "verify", [image, other], options, model, version)

    async def identify(self, image: Image, *, model: str = "", version: str = "", **options: Any) -> IdentifyAnswer:
        """See `Client.identify`."""
        return await self._ask(IdentifyAnswer, "identify", [image], options, model, version)

    async def detect(self, image: Image, *, model: str = "", version: str = "", **options: Any) -> DetectAnswer:
        """See `Client.detect`."""
        return await self._ask(DetectAnswer, "detect", [image], options, model, version)

    async def release(self, model: str = "") -> dict[str, str]:
        """See `Client.release`."""
        answer: dict[str, str] = _checked(await self._send("GET", _path("release", model, ""), {}, {})).json()
        return answer

    async def _ask(self, kind: type[A], operation: str, images: Sequence[Image], options: Mapping[str, Any], *model: str) -> A:
        request = _request(operation, images, options, *model)
        for tried in range(self._retries + 1):
            answer = await self._send("POST", request.path, request.params, request.body)
            pause = self._pause(answer, tried)
            if pause is None:
                break
            await asyncio.sleep(pause)
        return kind.model_validate_json(_checked(answer).content)

    async def _send(self, method: str, path: str, params: dict[str, str], body: dict[str, Any]) -> httpx.Response:
        if self._http is None:
            self._http = _made(httpx.AsyncClient, self._settings)
        try:
            return await self._http.request(method, path, params=params, **body)
        except httpx.TransportError as error:
            raise self._nothing_answers() from error


def choose_model(state: ServerStatus, name: str) -> str:
    """Name of the served model to ask: the given name, else that of the only model.

    Raises:
        Unavailable: The endpoint does not run.
        InvalidInput: None is named, and several serve.
        NotFound: No such model serves.
    """
    if not state.running:
        looked = f"Its home is {state.home}; set GLOCAL_HOME to ask another. " if state.home else ""
        first = "" if state.stored else " (or deploy a model first: glocal run DIR)"
        hint = f"{looked}Start it: glocal serve start{first}."
        raise Unavailable("The endpoint does not run.", hint)
    if state.fault and not state.models:
        raise state.fault
    served = ", ".join(sorted(state.models))
    if name and name not in state.models:
        raise NotFound(f"No model {name} is served.", f"Served: {served}.")
    if not name and len(state.models) > 1:
        raise InvalidInput("Several models are served.", f"Name one with --name: {served}.")
    return name or next(iter(state.models))


H = TypeVar("H", httpx.Client, httpx.AsyncClient)


def _made(kind: type[H], settings: Mapping[str, Any]) -> H:
    try:
        return kind(**settings)
    except httpx.InvalidURL as error:
        raise InvalidInput("The endpoint's address cannot be used.", f"{error}.") from error


def _is_loopback(address: str) -> bool:
    try:
        return httpx.URL(address).host in {LOOPBACK, "localhost", "::1"}
    except httpx.InvalidURL:
        return False


def _request(operation: str, images: Sequence[Image], options: Mapping[str, Any], model: str, version: str) -> _Request:
    contents = [_read(image) for image in images]
    for content in contents:
        read_header(content, IMAGE_LIMITS)
    given = {name: value for name, value in options.items() if value is not None}
    params = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}
    if len(contents) == 1:
        body: dict[str, Any] = {"content": contents[0], "headers": _BINARY}
    else:
        body = {"files": [("image", (str(number), content)) for number, content in enumerate(contents)]}
    return _Request(_path(operation, model, version), params, body)


def _path(last: str, model: str, version: str) -> str:
    if not model:
        return f"/v1/{last}"
    if not MODEL_NAME.fullmatch(model):
        raise InvalidInput(f"{model!r} cannot be the name of a model.", "Use 1 to 64 of A-Z a-z 0-9 _ -.")
    return f"/v1/models/{model}/versions/{version}/{last}" if version else f"/v1/models/{model}/{last}"


def _read(image: Image) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        if not stat.S_ISREG(image.stat().st_mode):
            raise InvalidInput(f"{image} is no file.")
        with image.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # one too many is refused with its header
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {image}.") from error
    except OSError as error:
        raise InvalidInput(f"{image} cannot be read: {error.strerror}.") from error


def _checked(answer: httpx.Response) -> httpx.Response:
    """An answer that is no refusal.

    Raises:
        GlocalError: The error that the endpoint's problem document (RFC 9457) names, or one of a kind that fits the status.
    """
    if answer.is_success:
        return answer
    try:
        body = answer.json()
        raise error_of_code(body["type"].removeprefix(TYPE), str(body["title"]), str(body.get("detail", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        kinds: dict[int, type[GlocalError]] = {404: NotFound, 413: TooLarge, 429: Overloaded}
        kind = kinds.get(answer.status_code, Unavailable if answer.is_server_error else InvalidInput)
        raise kind(f"The endpoint answered {answer.status_code}.") from None
