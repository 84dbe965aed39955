"""How a challenge goes: what the gateway has counted and measured of a challenger, by operation, read from its metrics."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import inf

import httpx

from model.errors import Unavailable
from model.home import ServeFolder
from model.schemas.challenge import TriedOperation
from serving.local import read_key

Values = Mapping[str, float]
_PREFIX = "glocal_challenge_"
_TIMEOUT_S = 5.0


def challenge_progress(folder: ServeFolder, address: str, name: str, *, version: str, champion: str) -> dict[str, TriedOperation]:
    """What was counted while a version was tried, by operation: of all its challenges since the gateway started.

    Args:
        folder: Folder of the endpoint's files.
        address: Address of the gateway.
        name: Name of the model.
        version: Version of the challenger.
        champion: Version that serves.

    Raises:
        Unavailable: The gateway does not answer.
    """
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for key, operation, value in _samples(_metrics(folder, address), name, version, champion):
        values[operation][key] = value
    return {operation: _read(values[operation]) for operation in sorted(values)}


def _metrics(folder: ServeFolder, address: str) -> str:
    try:
        key = {"Authorization": f"Bearer {read_key(folder)}"}
        answer = httpx.get(f"{address}/metrics", headers=key, timeout=_TIMEOUT_S, trust_env=False).raise_for_status()
        return answer.text
    except httpx.HTTPError as error:
        raise Unavailable("The gateway does not tell its metrics.", "glocal serve status says how it is.") from error


def _samples(text: str, name: str, version: str, champion: str) -> Iterator[tuple[str, str, float]]:
    """What the metrics say of both versions: a key, the operation, the value. Keys of the champion begin with `champion`."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name.startswith(_PREFIX) else ():
            labels, short = sample.labels, sample.name.removeprefix(_PREFIX)
            if labels.get("model") != name or "operation" not in labels:
                continue
            if short.endswith("_bucket"):
                short = f"{short} {labels['le']}"
            if labels["version"] == version:
                yield labels.get("outcome", short), labels["operation"], sample.value
            elif labels["version"] == champion and short.startswith("seconds"):
                yield f"champion_{short}", labels["operation"], sample.value


def _read(values: Values) -> TriedOperation:
    return TriedOperation(
        answered=round(values.get("answered", 0)),
        failed=round(values.get("failed", 0)),
        skipped=round(values.get("skipped", 0)),
        compared=round(values.get("agreement_count", 0)),
        agreement=_mean(values, "agreement"),
        shift=_median(values, "score_shift"),
        seconds=_mean(values, "seconds"),
        champion_seconds=_mean(values, "champion_seconds"),
    )


def _mean(values: Values, name: str) -> float | None:
    count = values.get(f"{name}_count", 0)
    return values[f"{name}_sum"] / count if count else None


def _median(values: Values, name: str) -> float | None:
    """The median, between the bounds of the bucket that it is in: a histogram that has negative values tells no sum."""
    start = f"{name}_bucket "
    bounds = sorted((float(key.removeprefix(start)), count) for key, count in values.items() if key.startswith(start))
    half, low, below = bounds[-1][1] / 2 if bounds else 0.0, -inf, 0.0
    for high, count in bounds:
        if count >= half > 0:
            inside = (half - below) / (count - below)
            return high if low == -inf else low if high == inf else low + inside * (high - low)
        low, below = high, count
    return None
