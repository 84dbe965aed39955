"""The monitor: a thread that looks at every service again and again, and remembers what it saw.

Every check runs in a thread of its own, and none is waited for longer than `PATIENCE_S`: one that hangs is said to hang, and not
begun again before it has ended. When each service was last seen up is kept on disk, so that a restart of the dashboard knows it.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dashboard.monitoring.checks import CHECKS, Check, Found, Part
from dashboard.monitoring.disk import Disk, count_parts, measure
from model.environment import Environment
from model.errors import GlocalError
from model.files import read_mapping, write_json
from serving.gateway.readings import Reading, read_metrics

EVERY_S = 10.0
"""Seconds between two looks."""
PATIENCE_S = 2.0
"""Seconds that a check may take before its service counts as one that does not answer."""
READINGS = 361
"""Readings of the gateway's metrics that are kept: an hour."""
_COUNT_S = 600.0
"""Seconds between two counts of what the home's parts take."""
_KEEP_S = 60.0
"""Seconds between two notes of the same news on disk."""
_END_S = 5.0
_log = logging.getLogger("glocal.dashboard")

State = Literal["unknown", "up", "off", "down"]


@dataclass(frozen=True)
class Service:
    """What is known of a service.

    Attributes:
        key: Its key in `CHECKS`.
        name: Its name for people.
        state: `unknown` before the first look has ended; `off` if it is not started or not used, which is no fault.
        said: Its state in words.
        hint: What to do; may be empty.
        parts: Its parts.
        looked_at: When it was looked at last, in seconds since 1970; None before.
        seen_up: When it was last seen up, by this dashboard or the one before; None if never.
        since: When the present state began, as far as it was seen.
    """

    key: str
    name: str
    state: State = "unknown"
    said: str = "It is being looked at for the first time."
    hint: str = ""
    parts: tuple[Part, ...] = ()
    looked_at: float | None = None
    seen_up: float | None = None
    since: float | None = None


@dataclass(frozen=True)
class View:
    """What the monitor saw.

    Attributes:
        services: Every service.
        looked_at: When they were looked at last, in seconds since 1970; None before the first look.
        readings: Metrics of the gateway over the last hour, as long as the dashboard looked; the newest is the last.
        disk: The disk; None before the first look.
    """

    services: tuple[Service, ...]
    looked_at: float | None
    readings: tuple[Reading, ...]
    disk: Disk | None

    @property
    def down(self) -> tuple[Service, ...]:
        """The services that should work and do not."""
        return tuple(each for each in self.services if each.state == "down")


@dataclass
class _Look:
    """One check, under way or ended."""

    thread: threading.Thread
    begun: float
    outcome: Found | GlocalError | None = field(default=None)


class Monitor:
    """Looks at the services of a home.

    Args:
        environment: The home, and the addresses of its services.
        checks: The checks by key, with the services' names.
        every_s: Seconds between two looks.
        patience_s: Seconds that a check may take.
    """

    def __init__(
        self,
        environment: Environment,
        checks: Mapping[str, tuple[str, Check]] = CHECKS,
        *,
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._environment, self._checks, self._every, self._patience = environment, checks, every_s, patience_s
        self._looks: dict[str, _Look] = {}
        self._readings: deque[Reading] = deque(maxlen=READINGS)
        seen = self._read_seen()
        self._services = {key: Service(key, name, seen_up=seen.get(key)) for key, (name, _) in checks.items()}
        self._looked_at: float | None = None
        self._disk: Disk | None = None
        self._counting: threading.Thread | None = None
        self._noted_at = 0.0
        self._thread: threading.Thread | None = None
        self._starting, self._ended, self._asked = threading.Lock(), threading.Event(), threading.Event()

    @property
    def view(self) -> View:
        """What was seen; waits for nothing."""
        return View(tuple(self._services.values()), self._looked_at, tuple(self._readings), self._disk)

    def start(self) -> None:
        """Begin to look, unless that was begun."""
        with self._starting:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
                self._thread.start()

    def look_soon(self) -> None:
        """Look now, and not only when it is time."""
        self.start()
        self._asked.set()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._asked.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    def look(self) -> None:
        """Look at every service once; takes no longer than the patience with the slowest."""
        deadline = time.monotonic() + self._patience
        for key, (_, check) in self._checks.items():
            if key not in self._looks:
                self._looks[key] = self._begin(key, check)
        for look in self._looks.values():
            look.thread.join(max(0.0, deadline - time.monotonic()))
        for key in list(self._looks):
            self._note(key)
        self._disk = measure(self._environment.home, self._disk)
        self._looked_at = time.time()
        self._keep_seen()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.look()
                self._read_metrics()
                self._count()
            except Exception:  # the next look may succeed; a page that shows nothing new says when it was looked at last
                _log.exception("The monitor failed.")
            self._asked.wait(self._every)
            self._asked.clear()

    def _begin(self, key: str, check: Check) -> _Look:
        def run() -> None:
            try:
                look.outcome = check(self._environment)
            except GlocalError as error:
                look.outcome = error
            except Exception as error:
                _log.exception("The check of %s failed.", key)
                look.outcome = GlocalError(f"It cannot be looked at: {type(error).__name__}.", "The dashboard's log says more.")

        look = _Look(threading.Thread(target=run, name=f"check {key}", daemon=True), time.time())
        look.thread.start()
        return look

    def _note(self, key: str) -> None:
        """Take note of what a check found, or that it hangs."""
        look, known, now = self._looks[key], self._services[key], time.time()
        if look.thread.is_alive():
            waited = now - look.begun
            found: dict[str, Any] = {"state": "down", "said": f"It has not answered for {waited:.0f} s.", "hint": "", "parts": ()}
        else:
            del self._looks[key]
            outcome = look.outcome
            if isinstance(outcome, Found):
                found = {"state": outcome.state, "said": outcome.said, "hint": outcome.hint, "parts": outcome.parts}
            elif outcome is not None:
                found = {"state": "down", "said": outcome.headline, "hint": outcome.hint, "parts": ()}
            else:
                return
        since = known.since if known.state == found["state"] and known.since is not None else now
        seen_up = now if found["state"] == "up" else known.seen_up
        self._services[key] = replace(known, **found, looked_at=now, since=since, seen_up=seen_up)

    def _read_metrics(self) -> None:
        from serving.gateway import process

        running = process.find(self._environment.home.serve)
        if running is not None and running.address:
            with contextlib.suppress(GlocalError):
                now = time.time()
                reading = read_metrics(self._environment.home.serve, running.address, now, timeout_s=self._patience)
                self._readings.append(reading)

    def _count(self) -> None:
        """Count what the parts of the home take, in a thread of its own, if it was not done lately."""
        is_due = self._disk is not None and time.time() - (self._disk.counted_at or 0) > _COUNT_S
        if is_due and (self._counting is None or not self._counting.is_alive()):
            self._counting = threading.Thread(target=self._count_now, name="disk", daemon=True)
            self._counting.start()

    def _count_now(self) -> None:
        parts = count_parts(self._environment.home)
        if self._disk is not None:
            self._disk = replace(self._disk, parts=parts, counted_at=time.time())

    def _read_seen(self) -> dict[str, float]:
        seen, now = read_mapping(self._environment.home.dashboard.seen), time.time()
        return {key: at for key, at in seen.items() if isinstance(at, float) and 0 <= at <= now}

    def _keep_seen(self) -> None:
        """Keep on disk when each service was last seen up."""
        now = time.time()
        went_down = any(each.state == "down" and each.since == each.looked_at for each in self._services.values())
        if not self._environment.home.dashboard.root.is_dir() or (now - self._noted_at < _KEEP_S and not went_down):
            return
        with contextlib.suppress(OSError):
            write_json(
                self._environment.home.dashboard.seen,
                {each.key: each.seen_up for each in self._services.values() if each.seen_up is not None},
            )
            self._noted_at = now
