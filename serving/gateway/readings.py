"""What a gateway's metrics say at one moment, read from outside, and what happened between two moments."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import httpx
from prometheus_client.parser import text_string_to_metric_families

from model.errors import Unavailable
from model.home import ServeFolder
from serving.gateway.drift import Distance
from serving.local import read_key
from serving.protocol import bearer

OTHER = "other"
"""Operation of requests that ask no model, such as those for the metrics."""
_LARGEST = 8 * 2**20
"""Bytes of metrics that are read."""


@dataclass(frozen=True)
class Served:
    """Requests of one operation since the gateway was started.

    Attributes:
        statuses: Number of requests by status.
        bounds: Upper bounds of the buckets of times, in seconds, the last of them infinite.
        within: Number of answered requests that took no longer than each bound.
    """

    statuses: Mapping[str, float] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    within: tuple[float, ...] = ()

    @property
    def answered(self) -> float:
        """Number of requests that were answered."""
        return self.within[-1] if self.within else 0.0

    @property
    def asked(self) -> float:
        """Number of requests that ended, whatever their status."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> float:
        """Number of requests that the endpoint failed or had no room for."""
        return sum(count for status, count in self.statuses.items() if status[:1] == "5" or status == "429")

    def quantile(self, share: float) -> float | None:
        """Seconds within which a share of the answers came, interpolated in its bucket; None without answers."""
        wanted, low, before = share * self.answered, 0.0, 0.0
        if not self.answered:
            return None
        for bound, count in zip(self.bounds, self.within, strict=True):
            if count >= wanted and count > before:
                return low if bound == float("inf") else low + (bound - low) * (wanted - before) / (count - before)
            low, before = (bound if bound != float("inf") else low), count
        return low

    def since(self, earlier: "Served") -> "Served":
        """What was served since an earlier moment; all of it if the gateway was started anew meanwhile."""
        if earlier.bounds != self.bounds or earlier.asked > self.asked or earlier.answered > self.answered:
            return self
        statuses = {status: count - earlier.statuses.get(status, 0) for status, count in self.statuses.items()}
        within = tuple(now - then for now, then in zip(self.within, earlier.within, strict=True))
        return Served(statuses, self.bounds, within)


@dataclass(frozen=True)
class Reading:
    """The metrics at one moment.

    Attributes:
        at: Seconds since 1970.
        operations: What was served by operation.
        identified: Answers of `identify` by release: those with a known class, and those with none.
        drift: How far the last answers of each release are from its reference, by respect.
    """

    at: float
    operations: Mapping[str, Served]
    identified: Mapping[str, tuple[float, float]]
    drift: Mapping[str, Mapping[str, Distance]]


def read_metrics(folder: ServeFolder, address: str, at: float, *, timeout_s: float) -> Reading:
    """Ask the gateway of this home for its metrics.

    Args:
        folder: Folder of the endpoint, with the key of the home's owner.
        address: Address of the gateway.
        at: The time now, in seconds since 1970.
        timeout_s: Seconds to wait for it.

    Raises:
        Unavailable: It does not answer, or with something else.
    """
    try:
        with httpx.stream(
            "GET", f"{address}/metrics", headers=bearer(read_key(folder) or ""), timeout=timeout_s, trust_env=False
        ) as answer:
            text = b"".join(answer.iter_bytes())[:_LARGEST] if answer.is_success else b""
            if not answer.is_success:
                raise Unavailable(f"The gateway answered {answer.status_code} when it was asked for its metrics.")
        return parse_metrics(text.decode("utf-8", "replace"), at)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable("The gateway's metrics cannot be read.", str(error)[:200]) from error


def parse_metrics(text: str, at: float) -> Reading:
    """Read metrics in the format of Prometheus.

    Raises:
        ValueError: The text is in no such format.
    """
    statuses: dict[str, dict[str, float]] = defaultdict(dict)
    buckets: dict[str, list[tuple[float, float]]] = defaultdict(list)
    known: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    psi, chance = dict[tuple[str, str], float](), dict[tuple[str, str], float]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            match sample.name:
                case "glocal_requests_total":
                    statuses[labels["operation"]][labels["status"]] = value
                case "glocal_request_seconds_bucket":
                    buckets[labels["operation"]].append((float(labels["le"]), value))
                case "glocal_identified_total":
                    known[labels["release"]][labels["known"] != "true"] += value
                case "glocal_drift_psi":
                    psi[labels["release"], labels["what"]] = value
                case "glocal_drift_p_value":
                    chance[labels["release"], labels["what"]] = value
    operations = {}
    for name in sorted((statuses.keys() | buckets.keys()) - {OTHER}):
        bounds, within = zip(*sorted(buckets[name]), strict=True) if buckets[name] else ((), ())
        operations[name] = Served(statuses.get(name, {}), tuple(bounds), tuple(within))
    drift: dict[str, dict[str, Distance]] = defaultdict(dict)
    for (release, what), value in psi.items():
        drift[release][what] = Distance(value, chance.get((release, what), 1.0))
    identified = {release: (each[0], each[1]) for release, each in known.items()}
    return Reading(at, operations, identified, dict(drift))


def between(earlier: Reading, later: Reading) -> dict[str, Served]:
    """What was served between two readings, by operation."""
    return {name: served.since(earlier.operations.get(name, Served())) for name, served in later.operations.items()}


def rates(readings: Sequence[Reading]) -> list[tuple[float, float]]:
    """Requests a second between each two readings: the time of the later one, and the rate."""
    return [
        (later.at, sum(each.asked for each in between(earlier, later).values()) / max(later.at - earlier.at, 1e-9))
        for earlier, later in pairwise(readings)
    ]


def slowest(readings: Sequence[Reading], share: float) -> list[tuple[float, float | None]]:
    """The largest quantile of any operation between each two readings, in seconds; None where nothing was answered."""
    found: list[tuple[float, float | None]] = []
    for earlier, later in pairwise(readings):
        times = [each.quantile(share) for each in between(earlier, later).values()]
        found.append((later.at, max((time for time in times if time is not None), default=None)))
    return found
