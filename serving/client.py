"""The client of an endpoint."""

import stat
from pathlib import Path
from typing import Any

import httpx

from model.data.headers import read_header
from model.errors import Conflict, GlocalError, InvalidInput, NotFound, Unavailable
from model.schemas.status import ServerStatus
from serving.limits import IMAGE_LIMITS, MAX_BYTES
from serving.protocol import K_HEADER, MAX_DIGITS, MODEL_NAME


def query(
    address: str, name: str, image: Path | bytes, k: int = 5, *, version: str | None = None, timeout_s: float = 30
) -> dict[str, Any]:
    """The k nearest gallery entries of an image, from the endpoint.

    Args:
        address: Address of the endpoint, such as http://127.0.0.1:8080.
        name: Name of the served model.
        image: An image file or its bytes; checked here before it is sent.
        k: Number of neighbours, at least 1.
        version: Version of the model; default: the one that serves.
        timeout_s: Seconds to wait for the answer.

    Returns:
        `neighbours` (id, label, score), `release`, `embedding_space_id`, `model_version`.

    Raises:
        InvalidInput: No image of a known format, or beyond the limits; or the endpoint says so.
        NotFound: The endpoint serves no such model.
        Unavailable: Nothing listens there, or it does not answer in time.
    """
    if not MODEL_NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot be the name of a model.", "Use 1 to 64 of A-Z a-z 0-9 _ -.")
    data = _read(image)
    read_header(data, IMAGE_LIMITS)
    if not 1 <= k < 10**MAX_DIGITS:
        raise InvalidInput(f"k must be at least 1 and have at most {MAX_DIGITS} digits, not {k}.")
    path = f"/predictions/{name}" + (f"/{version}" if version else "")
    try:
        loopback = httpx.URL(address).host in {"127.0.0.1", "localhost", "::1"}  # no proxy stands between
        secure = address.startswith("https")  # reading the authorities' certificates takes longer than a query
        with httpx.Client(base_url=address, timeout=timeout_s, trust_env=not loopback, verify=secure) as client:
            answer = client.post(path, content=data, headers={K_HEADER: str(k), "Content-Type": "application/octet-stream"})
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unavailable(f"Nothing answers at {address}.", "Start the endpoint: glocal serve start.") from error
    if answer.is_success:
        neighbours: dict[str, Any] = answer.json()
        return neighbours
    raise _error(answer)


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


def _read(image: Path | bytes) -> bytes:
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


def _error(answer: httpx.Response) -> GlocalError:
    """The error of a refusal. TorchServe's own refusals carry `message`, the handler's `error` and `hint`."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    headline = str(body.get("error") or body.get("message") or f"The endpoint answered {answer.status_code}.")
    kinds: dict[int, type[GlocalError]] = {404: NotFound, 409: Conflict, 408: Unavailable, 429: Unavailable}
    kind = kinds.get(answer.status_code, Unavailable if answer.is_server_error else InvalidInput)
    return kind(headline, str(body.get("hint") or ""))
