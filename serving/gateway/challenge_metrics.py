"""Metrics of challenges, in the format of Prometheus."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serving.backends.port import Served
from serving.gateway.comparison import Comparison
from serving.gateway.metrics import SECONDS, Series

_LABELS = ("model", "version", "operation")
_AGREEMENTS = tuple(round(0.1 * step, 1) for step in range(11))
_SHIFTS = (-0.5, -0.2, -0.1, -0.05, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Share(NamedTuple):
    """What a challenger gets now: a share of the requests or of the keys, 0 once it was aborted."""

    model: str
    version: str
    mode: str
    share: float


class ChallengeMetrics(Collector):
    """What is counted and measured while a version is tried.

    Args:
        shares: What the challengers get now.
    """

    def __init__(self, shares: Callable[[], Iterable[Share]]) -> None:
        def histogram(name: str, said: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"glocal_challenge_{name}", said, _LABELS, buckets=buckets, registry=None)

        self._shares = shares
        self._versions = Series[tuple[str, str]](self._drop)
        self._requests = Counter(
            "glocal_challenge_requests", "Requests of the challenger by outcome", (*_LABELS, "outcome"), registry=None
        )
        self._seconds = histogram("seconds", "Time of answers by version, champion and challenger", SECONDS)
        self._agreement = histogram("agreement", "Agreement of the challenger's answers with the champion's", _AGREEMENTS)
        self._shift = histogram("score_shift", "Best score of the challenger less the champion's", _SHIFTS)

    def answered(self, served: Served, operation: str, seconds: float) -> None:
        """Count a request that the challenger answered, and note its time."""
        self._count(served, operation, "answered")
        self.took(served, operation, seconds)

    def failed(self, served: Served, operation: str) -> None:
        """Count a request that the challenger failed."""
        self._count(served, operation, "failed")

    def skipped(self, served: Served, operation: str) -> None:
        """Count a request that was not mirrored because too many were."""
        self._count(served, operation, "skipped")

    def took(self, served: Served, operation: str, seconds: float) -> None:
        """Note the time of a request, of the challenger or of the champion."""
        self._versions.use((served.name, served.version))
        self._seconds.labels(served.name, served.version, operation).observe(seconds)

    def compared(self, served: Served, operation: str, comparison: Comparison) -> None:
        """Note how far an answer of the challenger is from the champion's."""
        labels = (served.name, served.version, operation)
        if comparison.agreement is not None:
            self._agreement.labels(*labels).observe(comparison.agreement)
        if comparison.shift is not None:
            self._shift.labels(*labels).observe(comparison.shift)

    def sweep(self, current: Collection[Served]) -> None:
        """See `serving.gateway.metrics.Swept`."""
        self._versions.sweep({(served.name, served.version) for served in current})

    def _count(self, served: Served, operation: str, outcome: str) -> None:
        self._versions.use((served.name, served.version))
        self._requests.labels(served.name, served.version, operation, outcome).inc()

    def _drop(self, version: tuple[str, str]) -> None:
        for metric in (self._requests, self._seconds, self._agreement, self._shift):
            metric.remove_by_labels(dict(zip(_LABELS, version, strict=False)))

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        said = "Share of the requests or keys that a challenger gets now; 0 once it was aborted"
        shares = GaugeMetricFamily("glocal_challenge_share", said, labels=["model", "version", "mode"])
        for each in self._shares():
            shares.add_metric([each.model, each.version, each.mode], each.share)
        yield shares
        for metric in (self._requests, self._seconds, self._agreement, self._shift):
            yield from metric.collect()
