"""The page of the history, and the check of its integrity."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from dashboard.outage import unless_down
from dashboard.paging import Pages
from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.history.timeline import SHORTEST, Window, default_window, lanes, ticks
from model.schemas.promotion import Promotion

router = APIRouter(include_in_schema=False)
PAGE = 50
"""Entries on one page."""
_YEARS = range(2000, 2101)
"""Years that a time may be of."""


@router.get("/history")
def history(
    request: Request,
    person: Viewer,
    model: str = "",
    start: Annotated[str, Query(alias="from")] = "",
    to: str = "",
    at: str = "",
    part: int = 1,
) -> Response:
    """What served when, as a timeline, and every entry of it as a table, newest first.

    Args:
        request: The request.
        person: Who asks.
        model: Name of a model; default: all.
        start: Begin of what is shown, an ISO time, in UTC unless it says otherwise; `from` in the address. Default: of all.
        to: Its end; default: now.
        at: A moment: what served then is listed.
        part: Number of the table's page.
    """
    from serving.history import kept_history, read_history, served_at, services
    from serving.registry.store import refuse_lost_records

    environment = request.app.state.environment

    def recorded() -> list[Promotion]:
        refuse_lost_records(environment.mlflow_uri, environment.home)
        return read_history(environment.mlflow_uri)

    found, lost = unless_down(request, recorded)
    found = kept_history(environment.home) if found is None else found
    now, mistakes = datetime.now(UTC), dict[str, str]()
    models = sorted({entry.model for entry in found})
    entries = [entry for entry in found if model in {"", entry.model}]
    window = _window(start, to, entries, now, mistakes)
    moment = _moment(at, "at", mistakes)
    inside = [each for each in reversed(entries) if 0 <= window.share(each.ended or each.when) <= 1]
    shown: dict[str, Any] = {
        "models": models,
        "model": model,
        "window": window,
        "whole": default_window(entries, now),
        "lanes": lanes(entries, services(entries), window, now),
        "ticks": ticks(window),
        "now": 100 * window.share(1000 * now.timestamp()),
        "entries": Pages.of(inside, part, PAGE),
        "all": len(entries),
        "at": at,
        "moment": moment,
        "served": served_at(entries, moment) if moment else [],
        "mistakes": mistakes,
        "lost": lost,
        "address": _address,
    }
    return page(request, "history/history.html", part="history", status=422 if mistakes else 200, **shown)


@router.get("/history/integrity")
def integrity(request: Request, person: Viewer) -> Response:
    """Whether an entry was changed, removed or added by somebody: all lines and all of MLflow's entries are compared."""
    from serving.history import history_faults
    from serving.registry.store import refuse_lost_records

    environment = request.app.state.environment
    refuse_lost_records(environment.mlflow_uri, environment.home)
    faults = history_faults(environment.home, environment.mlflow_uri)
    return page(request, "history/integrity.html", part="history", faults=faults, ledger=str(environment.home.ledger))


def _address(model: str, window: Window | None = None, **more: object) -> str:
    """The address of the page with another window or page of its table."""
    named = urlencode({**({"model": model} if model else {}), **more})
    return "/history?" + "&".join(filter(None, [named, window.query if window else ""]))


def _window(start: str, to: str, entries: list[Promotion], now: datetime, mistakes: dict[str, str]) -> Window:
    whole = default_window(entries, now)
    begin, end = _moment(start, "from", mistakes) or whole.start, _moment(to, "to", mistakes) or whole.stop
    if end - begin < SHORTEST:
        if start and to and end <= begin:
            mistakes["to"] = "The end lies before the begin."
        return whole if end <= begin else Window(begin, begin + SHORTEST)
    return Window(begin, end)


def _moment(text: str, name: str, mistakes: dict[str, str]) -> datetime | None:
    """A time that was asked for; None if there is none, or it is none."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        if found.year not in _YEARS:
            raise ValueError(found.year)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except ValueError:
        mistakes[name] = f"{text[:50]!r} is no time. Write it as 2026-11-29 14:30."
        return None
