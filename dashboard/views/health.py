"""Health: what runs, since when what does not, and what to do; latency, drift, disk, queue. No page of it waits for a service."""

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.monitoring.monitor import EVERY_S, View
from dashboard.rendering import page
from dashboard.security.people import Role, Viewer
from serving.gateway.drift import Distance
from serving.gateway.readings import Reading, Served, between, rates, slowest

router = APIRouter(include_in_schema=False)
WINDOW_S = 300.0
"""Seconds that `now` means for times and rates."""
_POINTS = 60
_TAIL_BYTES, _LINES = 64 * 2**10, 15


@dataclass(frozen=True)
class Operation:
    """One operation of the endpoint.

    Attributes:
        name: Its name.
        rate: Requests a second in the last minutes; None before two readings.
        p50: Median time in the last minutes, in seconds; None without answers.
        p99: Time within which 99 of 100 answers came.
        failed: Requests that failed in the last minutes.
        asked: Requests since the gateway was started.
        all_p99: The 99th percentile since then.
    """

    name: str
    rate: float | None
    p50: float | None
    p99: float | None
    failed: float
    asked: float
    all_p99: float | None


@dataclass(frozen=True)
class ReleaseHealth:
    """What the last answers of a release are like.

    Attributes:
        release: Its id.
        answers: Answers of `identify` since the gateway was started.
        unknown: Share of them that name no class; None without answers.
        drift: Distance of the last answers from the release's reference, by respect; empty below the number that is compared.
    """

    release: str
    answers: float
    unknown: float | None
    drift: dict[str, Distance]


@dataclass(frozen=True)
class Line:
    """A curve over the last hour.

    Attributes:
        name: What it shows.
        points: The points, each with its share of the time from 0 to 1; empty if nothing is known.
        last: The newest value.
        most: The largest value, at the top.
        unit: Unit of both.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    last: float | None
    most: float | None
    unit: str


@router.get("/health")
def health(request: Request, person: Viewer) -> Response:
    """The state of everything that the dashboard stands on."""
    request.app.state.monitor.start()
    return page(request, "health.html", part="health", **_shown(request, person.role))


@router.post("/health/look")
def look(request: Request, person: Viewer) -> Response:
    """Look now, and not only when it is time."""
    request.app.state.monitor.look_soon()
    return RedirectResponse("/health", 303)


def _shown(request: Request, role: Role) -> dict[str, Any]:
    view: View = request.app.state.monitor.view
    home = request.app.state.environment.home
    recent = _recent(view.readings)
    names = ", ".join(each.name for each in view.down)
    logs = {"Endpoint": home.serve.audit_log, "Dashboard": home.dashboard.audit_log} if role.allows(Role.ADMIN) else {}
    return {
        "view": view,
        "every": round(EVERY_S),
        "minutes": round(WINDOW_S / 60),
        "say": f"Not up: {names}." if names else "Everything that is used is up." if view.looked_at else "",
        "operations": _operations(view.readings, recent),
        "releases": _releases(view.readings),
        "lines": _lines(view.readings),
        "logs": {name: _tail(file) for name, file in logs.items()},
    }


def _recent(readings: tuple[Reading, ...]) -> Reading | None:
    """The reading with which the last one is compared; None if there is only one."""
    if len(readings) < 2:
        return None
    begin = readings[-1].at - WINDOW_S
    return next(each for each in readings if each.at >= begin or each is readings[-2])


def _operations(readings: tuple[Reading, ...], recent: Reading | None) -> list[Operation]:
    if not readings:
        return []
    last = readings[-1]
    lately = between(recent, last) if recent else {}
    seconds = last.at - recent.at if recent else 0.0
    found = []
    for name, whole in last.operations.items():
        now = lately.get(name, Served())
        rate = now.asked / seconds if seconds else None
        found.append(Operation(name, rate, now.quantile(0.5), now.quantile(0.99), now.failed, whole.asked, whole.quantile(0.99)))
    return found


def _releases(readings: tuple[Reading, ...]) -> list[ReleaseHealth]:
    if not readings:
        return []
    last, found = readings[-1], []
    for release in sorted(last.identified.keys() | last.drift.keys()):
        known, unknown = last.identified.get(release, (0.0, 0.0))
        answers = known + unknown
        found.append(ReleaseHealth(release, answers, unknown / answers if answers else None, dict(last.drift.get(release, {}))))
    return found


def _lines(readings: tuple[Reading, ...]) -> list[Line]:
    """The rate and the slowest time of the last hour, over at most `_POINTS` spans."""
    step = max(1, len(readings) // _POINTS)
    chosen = readings[::-1][::step][::-1]
    if len(chosen) < 3:
        return []
    times = [(at, None if value is None else 1000 * value) for at, value in slowest(chosen, 0.99)]
    return [_line("Requests", list(rates(chosen)), "/ s"), _line("p99 of the slowest operation", times, "ms")]


def _line(name: str, values: list[tuple[float, float]] | list[tuple[float, float | None]], unit: str) -> Line:
    known = [(at, value) for at, value in values if value is not None]
    if not known:
        return Line(name, (), None, None, unit)
    begin, end, most = values[0][0], values[-1][0], max(value for _, value in known)
    points = tuple(((at - begin) / max(end - begin, 1e-9), value) for at, value in known)
    return Line(name, points, known[-1][1], most, unit)


def _tail(file: Path) -> list[str]:
    """The last lines of a log, newest last; none if it cannot be read."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
            return list(deque(stream.read(_TAIL_BYTES).decode("utf-8", "replace").splitlines(), _LINES))
    except OSError:
        return []
