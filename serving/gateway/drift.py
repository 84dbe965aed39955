"""Drift: whether the last answers of a release are like those to held-out images that it was calibrated with.

Compared are the similarity of the best match, its margin over the next class, and the share that is not identified: by the
population stability index and by a two-sample test (Kolmogorov and Smirnov's over the bins; a normal test for the share). No
image and no label is kept.
"""

import logging
import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from model.schemas.calibration import BINS, Reference, bin_of
from serving.backends.port import Served
from serving.gateway.metrics import Series

WINDOW = 500
"""Number of last answers that are compared."""
FEWEST = 100
"""Number of answers from which on they are compared."""
MOVED_PSI = 0.25
"""Population stability index from which on a distribution counts as moved, by common use."""
MOVED_P = 0.01
"""Probability, of a difference as large by chance, below which a difference counts."""
_SMOOTHING = 0.5
_log = logging.getLogger("glocal.gateway")


class Distance(NamedTuple):
    """How far the last answers are from the reference in one respect.

    Attributes:
        psi: Population stability index, at least 0.
        p_value: Probability of so large a difference by chance.
    """

    psi: float
    p_value: float

    @property
    def has_moved(self) -> bool:
        """Whether the difference is large, and no chance."""
        return self.psi >= MOVED_PSI and self.p_value < MOVED_P


@dataclass
class _Seen:
    """The last answers of one release."""

    reference: Reference
    best: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    margin: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    known: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    noted: int = 0
    warned: frozenset[str] = frozenset()


class Drift(Collector):
    """The last answers of each release, and how far they are from its reference, which is computed when metrics are asked for."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._releases = Series[str](self._seen.pop)

    def note(self, served: Served, operation: str, answers: Sequence[Mapping[str, Any]]) -> None:
        """Take note of answers to `identify`. Those to `search` are filtered and sorted as the caller wants, and say nothing."""
        if operation != "identify" or served.reference is None:
            return
        seen = self._seen.setdefault(served.release, _Seen(served.reference))
        self._releases.use(served.release)
        for answer in answers:
            if answer.get("score") is not None and answer.get("release") == served.release:
                seen.best.append(bin_of(answer["score"]))
                seen.known.append(bool(answer["known"]))
                seen.noted += 1
                if answer.get("margin") is not None:
                    seen.margin.append(bin_of(answer["margin"]))
        if seen.noted >= FEWEST:
            seen.noted = 0
            self._warn(served, seen)

    def distances(self) -> dict[str, dict[str, Distance]]:
        """By release and respect, for releases with enough answers."""
        return {release: _compared(seen) for release, seen in self._seen.items() if len(seen.best) >= FEWEST}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See `Collector.collect`."""
        labels = ["release", "what"]
        psi = GaugeMetricFamily("glocal_drift_psi", "Population stability index of the last answers of identify", labels=labels)
        chance = GaugeMetricFamily("glocal_drift_p_value", "Probability of that difference by chance", labels=labels)
        for release, found in self.distances().items():
            for what, distance in found.items():
                psi.add_metric([release, what], distance.psi)
                chance.add_metric([release, what], distance.p_value)
        yield psi
        yield chance

    def sweep(self, current: Collection[Served]) -> None:
        """See `serving.gateway.metrics.Swept`."""
        self._releases.sweep({served.release for served in current})

    def _warn(self, served: Served, seen: _Seen) -> None:
        moved = {name: each for name, each in _compared(seen).items() if each.has_moved}
        for name in moved.keys() - seen.warned:
            said = (served.name, served.version, name, len(seen.best), moved[name].psi, moved[name].p_value)
            _log.warning("Drift at %s %s: %s of the last %d answers has moved (PSI %.2f, p %.2g).", *said)
        seen.warned = frozenset(moved)


def _compared(seen: _Seen) -> dict[str, Distance]:
    reference = seen.reference
    found = {"best_score": _distance(_counts(seen.best), reference.best_score)}
    if len(seen.margin) >= FEWEST:
        found["margin"] = _distance(_counts(seen.margin), reference.margin)
    unknown = seen.known.count(False)
    expected = round(reference.unknown * reference.queries)
    now, then = (unknown, len(seen.known) - unknown), (expected, reference.queries - expected)
    found["unknown"] = Distance(_psi(now, then), _share_p_value(now, then))
    return found


def _distance(now: Sequence[int], then: Sequence[int]) -> Distance:
    return Distance(_psi(now, then), _distribution_p_value(now, then))


def _psi(now: Sequence[int], then: Sequence[int]) -> float:
    """The population stability index, with half a count more in each bin, so that empty bins have a logarithm."""
    total_now, total_then = (sum(counts) + _SMOOTHING * len(counts) for counts in (now, then))
    shares = [((a + _SMOOTHING) / total_now, (b + _SMOOTHING) / total_then) for a, b in zip(now, then, strict=True)]
    return math.fsum((a - b) * math.log(a / b) for a, b in shares)


def _distribution_p_value(now: Sequence[int], then: Sequence[int]) -> float:
    """Kolmogorov and Smirnov's two-sample test over the bins, by its limit distribution; on bins it is conservative."""
    many, few = sum(then), sum(now)
    if not many or not few:
        return 1.0
    distance = gap = 0.0
    for a, b in zip(now, then, strict=True):
        gap += a / few - b / many
        distance = max(distance, abs(gap))
    scaled = distance * math.sqrt(few * many / (few + many))
    if scaled < 0.2:
        return 1.0  # the series below converges too slowly there; the value is above 0.9999
    series = 2 * math.fsum((1.0 if k % 2 else -1.0) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, series))


def _share_p_value(now: Sequence[int], then: Sequence[int]) -> float:
    """The test of two shares by their pooled normal approximation."""
    few, many = sum(now), sum(then)
    pooled = (now[0] + then[0]) / (few + many) if few + many else 0.0
    spread = math.sqrt(pooled * (1 - pooled) * (1 / few + 1 / many)) if few and many else 0.0
    return math.erfc(abs(now[0] / few - then[0] / many) / spread / math.sqrt(2)) if spread else 1.0


def _counts(bins: deque[int]) -> list[int]:
    return [bins.count(each) for each in range(BINS)]
