"""Blocks of queries over an exchange, as every adapter sends them: one request with a token, and what its answer means."""

from http import HTTPStatus
from typing import Any

from model.errors import GlocalError, NotFound, Overloaded, Unavailable
from serving.backends.exchange import Exchange
from serving.backends.port import Served
from serving.operations.envelope import unpack_answers
from serving.protocol import bearer

_KIND = {"Content-Type": "application/octet-stream"}
_AGAIN = "Try again in a second; glocal serve status tells more."


async def send(exchange: Exchange, method: str, address: str, path: str, *, token: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and content of the answer to a request.

    Raises:
        Unavailable: No whole answer comes in time, or the server does not answer.
    """
    try:
        return await exchange.send(method, address, path, _KIND | bearer(token), body)
    except TimeoutError as error:
        raise Unavailable("No worker answered in time.", _AGAIN) from error
    except OSError as error:
        raise Unavailable("The server of models does not answer.", _AGAIN) from error


def unpacked(status: int, content: bytes, count: int) -> list[dict[str, Any] | GlocalError]:
    """The answers to a block of `count` queries.

    Raises:
        Unavailable: The status is not 200, or these are no answers to so many queries.
    """
    if status != HTTPStatus.OK:
        raise Unavailable("No worker can answer now.", _AGAIN)
    try:
        return unpack_answers(content, count)
    except ValueError as error:
        raise Unavailable("A worker's answer cannot be read.", _AGAIN) from error


def no_version(served: Served) -> NotFound:
    """The error of a version that is not loaded."""
    return NotFound(f"There is no version {served.version} of {served.name}.", "glocal serve status shows what serves.")


def queue_full() -> Overloaded:
    """The error of a version for which `QUEUE` blocks wait."""
    return Overloaded("As many queries wait as may.", _AGAIN)
