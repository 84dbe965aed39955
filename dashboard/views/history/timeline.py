"""The timeline: for each model the spans in which its versions served, and marks of what did not succeed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from model.schemas.promotion import Promotion, Service

_STEPS = [
    timedelta(seconds=1),
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=2),
    timedelta(days=7),
    timedelta(days=30),
    timedelta(days=91),
    timedelta(days=365),
]
_TICKS = 7
SHORTEST = timedelta(seconds=10)
"""The shortest window."""


@dataclass(frozen=True)
class Window:
    """The part of time that is shown."""

    start: datetime
    stop: datetime

    @property
    def length(self) -> timedelta:
        """Its length."""
        return self.stop - self.start

    def share(self, milliseconds: float) -> float:
        """Where a time in milliseconds since 1970 lies: 0 at the start, 1 at the end."""
        return (milliseconds / 1000 - self.start.timestamp()) / self.length.total_seconds()

    def scaled(self, factor: float) -> "Window":
        """A window of the same middle and another length."""
        half = max(self.length * factor, SHORTEST) / 2
        middle = self.start + self.length / 2
        return Window(middle - half, middle + half)

    def moved(self, share: float) -> "Window":
        """The window, moved by a share of its length."""
        return Window(self.start + self.length * share, self.stop + self.length * share)

    @property
    def query(self) -> str:
        """Its query parameters."""
        return f"from={self.start:%Y-%m-%dT%H:%M:%S}&to={self.stop:%Y-%m-%dT%H:%M:%S}"


class Bar(NamedTuple):
    """A span: its place in percent, whether it goes on beyond the window on either side, and the service."""

    x: float
    width: float
    service: Service
    last: bool


class Mark(NamedTuple):
    """An attempt that did not succeed, or an operator's word: its place in percent."""

    x: float
    entry: Promotion


class Lane(NamedTuple):
    """A model."""

    model: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]


class Tick(NamedTuple):
    """A time at the axis: its place in percent."""

    x: float
    text: str


def default_window(history: Sequence[Promotion], now: datetime) -> Window:
    """The window that shows all, with a little room on both sides."""
    first = min((entry.when for entry in history), default=1000 * (now.timestamp() - 86400))
    start = datetime.fromtimestamp(first / 1000, UTC)
    room = max((now - start) * 0.03, SHORTEST / 2)
    return Window(start - room, now + room)


def lanes(
    history: Sequence[Promotion], spans: Mapping[str, Sequence[Service]], window: Window, now: datetime
) -> tuple[Lane, ...]:
    """What lies in the window, for each model.

    Args:
        history: Entries of the ledger.
        spans: The spans in which versions served, by the name of the model.
        window: The part of time.
        now: The present, to which the last span goes.
    """
    return tuple(
        Lane(
            model,
            tuple(_bars(spans.get(model, ()), window, now)),
            tuple(
                Mark(100 * at, entry)
                for entry in history
                if entry.model == model
                and entry.outcome != "promoted"
                and 0 <= (at := window.share(entry.ended or entry.when)) <= 1
            ),
        )
        for model in sorted({entry.model for entry in history})
    )


def _bars(spans: Sequence[Service], window: Window, now: datetime) -> list[Bar]:
    found = []
    for span in spans:
        last = span.ended is None
        start, stop = window.share(span.begun), window.share(span.ended or 1000 * now.timestamp())
        left, right = max(start, 0.0), min(stop, 1.0)
        if right > left:
            found.append(Bar(100 * left, 100 * (right - left), span, last))
    return found


def ticks(window: Window) -> tuple[Tick, ...]:
    """Round times in the window, not more than some."""
    step = next((each for each in _STEPS if window.length / each <= _TICKS), window.length / _TICKS)
    seconds = step.total_seconds()
    first = -(-window.start.timestamp() // seconds) * seconds
    found = []
    while first <= window.stop.timestamp():
        found.append(Tick(100 * window.share(1000 * first), _tick_text(datetime.fromtimestamp(first, UTC), step, window)))
        first += seconds
    return tuple(found)


def _tick_text(at: datetime, step: timedelta, window: Window) -> str:
    """A time at the axis, as precise as the steps are; midnight is its day."""
    if window.length > timedelta(days=365):
        return f"{at:%b %Y}"
    if step >= timedelta(days=1) or at.hour == at.minute == at.second == 0:
        return f"{at.day} {at:%b}"
    return f"{at:%H:%M:%S}" if step < timedelta(minutes=1) else f"{at:%H:%M}"
