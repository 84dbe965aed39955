"""The trial of one challenger: what its last requests were like, beside the champion's, and whether it must be aborted."""

from collections import deque
from dataclasses import dataclass
from statistics import median

from model.schemas.challenge import Challenge
from serving.backends.port import Served

WINDOW = 50
"""Number of last requests that are judged."""
FEWEST = 20
"""Number of requests from which on they are judged."""
KNOWN = 10
"""Number of the champion's requests from which on the challenger's times are compared with theirs."""
MIN_PATIENCE_S, MAX_PATIENCE_S = 1.0, 30.0
_OUTLIER = 5
"""How many times as long as the challenger may take at the median it may take once."""
Like = tuple[str, int]
"""Requests that are alike: the operation, and the number of queries."""


@dataclass(frozen=True)
class Challenger:
    """A version that is tried beside the one that serves."""

    served: Served
    challenge: Challenge


class Trial:
    """What is known of a challenger since its challenge was started.

    Args:
        challenger: The challenger.
        aborted: Why it was aborted earlier; empty if it was not.
    """

    def __init__(self, challenger: Challenger, aborted: str = "") -> None:
        self.challenger, self.aborted = challenger, aborted
        self._champion: dict[Like, deque[float]] = {}
        self._failed: deque[bool] = deque(maxlen=WINDOW)
        self._ratios: deque[float] = deque(maxlen=WINDOW)

    def champion_took(self, like: Like, seconds: float) -> None:
        """Take note of a request that the champion answered."""
        self._champion.setdefault(like, deque(maxlen=WINDOW)).append(seconds)

    def patience_s(self, like: Like) -> float | None:
        """Seconds that the challenger has for a request, by what the champion takes for the like; None if that is not known."""
        if like not in self._champion:
            return None
        seconds = _OUTLIER * self.challenger.challenge.max_latency_ratio * median(self._champion[like])
        return min(MAX_PATIENCE_S, max(MIN_PATIENCE_S, seconds))

    def failed(self) -> None:
        """Take note of a request that the challenger failed."""
        self._failed.append(True)

    def answered(self, like: Like, seconds: float) -> None:
        """Take note of a request that the challenger answered. Its time is compared with the champion's for requests like it."""
        self._failed.append(False)
        if len(self._champion.get(like, ())) >= KNOWN:
            self._ratios.append(seconds / median(self._champion[like]))

    def fault(self) -> str:
        """Why the challenge must be aborted, in a sentence; empty if it need not."""
        terms = self.challenger.challenge
        failed, asked = sum(self._failed), len(self._failed)
        if asked >= FEWEST and failed / asked > terms.max_error_rate:
            return f"{failed} of its last {asked} requests failed, a share of more than {terms.max_error_rate:g}."
        if len(self._ratios) >= FEWEST and (ratio := median(self._ratios)) > terms.max_latency_ratio:
            return f"It takes {ratio:.1f} times as long as the champion, more than {terms.max_latency_ratio:g}."
        return ""
