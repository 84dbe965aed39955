"""Metrics of the gateway, in the format of Prometheus."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from model.errors import GlocalError
from serving.backends.port import Served
from serving.gateway.room import Room

disable_created_metrics()  # type: ignore[no-untyped-call] # these series say when each other one began, and double their number
SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets of times, in seconds."""
GONE_S = 600.0
"""Seconds for which the series of a release are kept after its last answer once it neither serves nor is tried."""
_SWEEP_S = 60.0
"""Seconds between two looks at what may be dropped."""
_COSINES = tuple(round(0.05 * step, 2) for step in range(21))
_SIZES = (1, 2, 4, 8, 16)


K = TypeVar("K", bound=Hashable)


class Series(Generic[K]):
    """What there are series for, such as releases: each is dropped some time after its last use.

    Args:
        drop: Drops the series of one.
    """

    def __init__(self, drop: Callable[[K], object]) -> None:
        self._drop = drop
        self._used: dict[K, float] = {}

    def use(self, key: K) -> None:
        """Take note that a series is used."""
        self._used[key] = monotonic()

    def sweep(self, kept: Collection[K]) -> None:
        """Drop the series that are not among those that are kept, and were not used for `GONE_S`."""
        before = monotonic() - GONE_S
        for key in [key for key, last in self._used.items() if last < before and key not in kept]:
            del self._used[key]
            self._drop(key)


class Swept(Protocol):
    """A collector with series of releases."""

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        ...

    def sweep(self, current: Collection[Served]) -> None:
        """Drop the series of what neither serves nor is tried any more; see `Series`."""
        ...


class Metrics:
    """What is counted and measured. Each gateway has a registry of its own.

    Args:
        room: The room whose use is shown.
        current: The versions that serve or are tried now.
        others: What else is shown.
    """

    MEDIA_TYPE = CONTENT_TYPE_LATEST

    def __init__(self, room: Room, current: Callable[[], Collection[Served]], *others: Swept) -> None:
        registry = self._registry = CollectorRegistry()
        self._current, self._others, self._swept = current, others, monotonic()
        self._releases = Series[str](self._drop)

        def counter(name: str, said: str, *labels: str) -> Counter:
            return Counter(f"glocal_{name}", said, labels, registry=registry)

        def histogram(name: str, said: str, label: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"glocal_{name}", said, [label], buckets=buckets, registry=registry)

        self._requests = counter("requests", "Requests by operation and status", "operation", "status")
        self._seconds = histogram("request_seconds", "Time of answered requests", "operation", SECONDS)
        self._queries = histogram("request_queries", "Queries in a request", "operation", _SIZES)
        self._identified = counter("identified", "Answers of identify", "release", "known")
        self._scores = histogram("best_score", "Similarity of the best match", "release", _COSINES)
        self._margins = histogram("margin", "Similarity of the best match less that of the runner-up", "release", _COSINES)
        held = Gauge("glocal_requests_held", "Requests that are read, wait or are answered now", registry=registry)
        held.set_function(lambda: room.requests)
        size = Gauge("glocal_bytes_held", "Bytes of their bodies", registry=registry)
        size.set_function(lambda: room.bytes)
        background = Gauge("glocal_background_bytes_held", "Bytes that challengers hold for nobody who waits", registry=registry)
        background.set_function(lambda: room.background)
        for collector in others:
            registry.register(collector)

    def show(self, collector: Collector) -> None:
        """Show what somebody else counts or measures."""
        self._registry.register(collector)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that ended."""
        if monotonic() - self._swept > _SWEEP_S:
            self.sweep()
        self._requests.labels(operation, str(status)).inc()
        if status < 400:
            self._seconds.labels(operation).observe(seconds)

    def answered(self, operation: str, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count the answers to the queries of one request."""
        self._queries.labels(operation).observe(len(answers))
        for answer in answers:
            release = answer["release"]
            self._releases.use(release)
            if "known" in answer:
                self._identified.labels(release, str(answer["known"]).lower()).inc()
                if answer["margin"] is not None:
                    self._margins.labels(release).observe(answer["margin"])
            best = answer["neighbours"][0]["score"] if answer.get("neighbours") else answer.get("score")
            if operation in {"search", "identify"} and best is not None:
                self._scores.labels(release).observe(best)

    def sweep(self) -> None:
        """Drop the series of releases that are gone, so that they do not add up; none while it is not known what serves."""
        self._swept = monotonic()
        try:
            current = self._current()
        except GlocalError:
            return
        self._releases.sweep({served.release for served in current})
        for each in self._others:
            each.sweep(current)

    def _drop(self, release: str) -> None:
        for metric in (self._identified, self._scores, self._margins):
            metric.remove_by_labels({"release": release})

    def text(self) -> bytes:
        """All metrics, as Prometheus reads them."""
        return generate_latest(self._registry)
