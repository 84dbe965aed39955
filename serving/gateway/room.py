"""The room of the gateway: the requests, and the bytes of their bodies, that it may hold. What finds no room is refused."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from model.errors import Overloaded, TooLarge, Unavailable
from serving.limits import MAX_BODY

_BUSY = 0.75
"""Share of the room from which on nothing is mirrored."""


@dataclass
class Room:
    """Requests and bytes that are held now, and how many may be.

    Attributes:
        max_requests: Maximum requests that are read, wait or are answered at a time. What is accepted waits for those before it:
            with half as many again as saturate a worker it takes at most twice as long (`python -m benchmarks.overload`).
        reserved: Further requests for operators, so that a rollout's golden queries are answered however many callers ask.
        max_bytes: Maximum bytes of all their bodies.
        max_background: Maximum bytes of requests that are mirrored to challengers, for whose answers no caller waits.
        background: Bytes that challengers hold beside those of the callers: of mirrored requests, and of what a canary was given
            and did not answer in time, at most a block for each of its workers.
    """

    max_requests: int = 24
    reserved: int = 4
    max_bytes: int = 4 * MAX_BODY
    max_background: int = MAX_BODY
    requests: int = 0
    bytes: int = 0
    background: int = 0
    arriving: Counter[str] = field(default_factory=Counter)

    def has_spare(self, size: int) -> bool:
        """Whether a request of so many bytes may be mirrored: never where callers will soon find no room."""
        is_pressed = self.requests > _BUSY * self.max_requests or self.bytes > _BUSY * self.max_bytes
        return not is_pressed and self.background + size <= self.max_background

    @contextmanager
    def request(self, *, for_operator: bool = False) -> Iterator["Body"]:
        """Room for one request and its body, for the duration of the block.

        Args:
            for_operator: Whether it may take what is reserved.

        Raises:
            Overloaded: There are as many requests as may be.
        """
        if self.requests >= self.max_requests + (self.reserved if for_operator else 0):
            raise Overloaded("The endpoint has as many requests as it can hold.", "Send this one again in a second.")
        self.requests += 1
        body = Body(self)
        try:
            yield body
        finally:
            self.requests -= 1
            self.bytes -= body.size

    @contextmanager
    def arrival(self, key: str) -> Iterator[None]:
        """The time in which the body of a request arrives, which its client decides: of half of the room at most, for one key.

        Args:
            key: Id of the key that the request shows.

        Raises:
            Overloaded: That many bodies of this key are arriving.
        """
        if self.arriving[key] >= max(1, self.max_requests // 2):
            raise Overloaded("Half of what the endpoint can hold are bodies of this key that arrive slowly.", "Send them faster.")
        self.arriving[key] += 1
        try:
            yield
        finally:
            self.arriving[key] -= 1
            if not self.arriving[key]:
                del self.arriving[key]


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
