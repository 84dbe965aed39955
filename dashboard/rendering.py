"""How pages are made: the templates, what they have in common, and what values look like on them."""

import hashlib
import json
import math
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from model.schemas.unreadable import unreadable_line
from model.text import counted, one_line

NONE, MINUS = "\u2013", "\u2212"
"""What stands for a figure that is not there; the sign of a negative number."""
STATIC = Path(__file__).parent / "static"
NAVIGATION = (
    ("runs", "Runs", "/runs"),
    ("models", "Models", "/models"),
    ("history", "History", "/history"),
    ("try", "Try", "/try"),
    ("data", "Data", "/data"),
    ("health", "Health", "/health"),
)
"""The parts of the dashboard: name, title, address."""
STYLES = {
    "runs": "runs.css",
    "models": "models.css",
    "history": "models.css",
    "try": "try.css",
    "data": "data.css",
    "health": "data.css",
}
"""The style sheet of a part, beside the one of all parts."""


def page(request: Request, template: str, *, part: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page.

    Args:
        request: The request that it answers.
        template: File in `templates/`.
        part: The part that it belongs to; see `NAVIGATION`.
        status: HTTP status.
        values: What the template shows.
    """
    person = request.scope.get("person")
    down = request.app.state.monitor.view.down if person else ()
    shared = {"part": part, "down": down, "person": person, "navigation": NAVIGATION, "csrf": person.csrf if person else ""}
    return HTMLResponse(_templates().get_template(template).render({**shared, **values}), status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "foreign": foreign,
        "one_line": one_line,
        "number": number,
        "percent": percent,
        "signed": signed,
        "duration": duration,
        "moment": moment,
        "utc": utc,
        "clock": lambda at: f"{when:%H:%M:%S}" if (when := _utc(at)) else NONE,
        "size": size,
        "counted": counted,
        "unreadable_line": unreadable_line,
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    }
    made.globals |= {"styles": STYLES, "asset": asset}
    return made


def foreign(text: object) -> Markup:
    """Text of other people, such as a name or a reason: on one line, and unable to turn round the words beside it."""
    return Markup("<bdi>{}</bdi>").format(one_line(str(text)))


def number(value: float | None, digits: int = 3) -> str:
    """A figure; a dash where there is none."""
    return NONE if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, with its sign; a dash where there is none."""
    return NONE if value is None else f"{value:+,.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 0) -> str:
    """A share as percentage; a dash where there is none."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units, such as `2 min 5 s`; a dash where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole, parts = round(seconds), list[str]()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if (count := whole // length) or (parts and unit != "s"):
            parts.append(f"{count} {unit}")
        whole %= length
    return " ".join(parts[:2])


def moment(at: datetime | float | None) -> Markup:
    """A time as an element that the page's script writes in the reader's time zone; without scripts it stands in UTC."""
    if (when := _utc(at)) is None:
        return escape(NONE)
    return Markup('<time datetime="{}">{}</time>').format(when.isoformat(), f"{when:%Y-%m-%d %H:%M} UTC")


def utc(at: datetime | float) -> str:
    """A time to the minute in UTC, for what is looked up by such times."""
    return f"{when:%Y-%m-%d %H:%M}" if (when := _utc(at)) else NONE


def _utc(at: datetime | float | None) -> datetime | None:
    """A time in UTC; None where there is none, as in a damaged file."""
    try:
        return at.astimezone(UTC) if isinstance(at, datetime) else None if at is None else datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def size(count: float | None) -> str:
    """A number of bytes; a dash where it is not known."""
    if count is None:
        return NONE
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(len(units) - 1, max(0, (int(count).bit_length() - 1) // 10))
    return f"{count / 1024**power:.{0 if power == 0 else 1}f} {units[power]}"


@cache
def asset(name: str) -> str:
    """The address of a file in `static/`, with a hash of its content, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
