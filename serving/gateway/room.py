"""The room of the gateway: the requests, and the bytes of their bodies, that it may hold. What finds no room is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from model.errors import Overloaded, TooLarge, Unavailable
from serving.limits import MAX_BODY


@dataclass
class Room:
    """Requests and bytes that are held now, and how many may be.

    Attributes:
        max_requests: Maximum requests that are read, wait or are answered at a time. What is accepted waits for those before it:
            with half as many again as saturate a worker it takes at most twice as long (`python -m benchmarks.overload`).
        max_bytes: Maximum bytes of all their bodies.
    """

    max_requests: int = 24
    max_bytes: int = 4 * MAX_BODY
    requests: int = 0
    bytes: int = 0

    @contextmanager
    def request(self) -> Iterator["Body"]:
        """Room for one request and its body, for the duration of the block.

        Raises:
            Overloaded: There are as many requests as may be.
        """
        if self.requests >= self.max_requests:
            raise Overloaded("The endpoint has as many requests as it can hold.", "Send this one again in a second.")
        self.requests += 1
        body = Body(self)
        try:
            yield body
        finally:
            self.requests -= 1
            self.bytes -= body.size


@dataclass
class Body:
    """The room that the body of one request takes."""

    room: Room
    size: int = 0

    def grow(self, size: int) -> None:
        """Take room for further bytes before they are kept.

        Raises:
            TooLarge: The body has more bytes than a request may have.
            Unavailable: The bodies of all requests have more bytes than the gateway may hold.
        """
        self.refuse_beyond(self.size + size)
        if self.room.bytes + size > self.room.max_bytes:
            raise Unavailable("The endpoint holds as many bytes as it can.", "Send this request again in a second.")
        self.size += size
        self.room.bytes += size

    @staticmethod
    def refuse_beyond(size: int) -> None:
        """Refuse a body of more bytes than a request may have.

        Raises:
            TooLarge: It has more.
        """
        if size > MAX_BODY:
            raise TooLarge(f"The request has more than {MAX_BODY} bytes.", "Send fewer or smaller images.")
