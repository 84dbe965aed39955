"""`glocal gc`: what nothing needs any more is removed, after a look at it."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.text import counted, visible
from pipelines.cli.console import confirm, say
from pipelines.cli.options import DryRun, Json, Yes

if TYPE_CHECKING:
    from model.schemas.garbage import Garbage

Days = Annotated[
    int | None,
    typer.Option(min=0, help="Days for which unneeded files are kept; default: GLOCAL_RETENTION_DAYS.", show_default=False),
]


def gc(days: Days = None, dry_run: DryRun = False, yes: Yes = False, as_json: Json = False) -> None:
    """Remove what no alias, no recent promotion and no kept version needs; never what serves. Shows first what it is."""
    from serving.housekeeping import find_garbage, remove_garbage

    environment = Environment()
    days = environment.retention_days if days is None else days
    home, uri = environment.home, environment.mlflow_uri
    garbage = find_garbage(home, uri, days=days)
    _show(garbage)
    removed = None
    if garbage.items and not dry_run:
        confirm(f"Remove {_megabytes(garbage.size)}?", yes=yes)
        removed = remove_garbage(garbage, home, uri, days=days)
    if as_json:
        found = (removed or garbage).model_dump(mode="json")
        print(json.dumps({"garbage": found, "bytes": (removed or garbage).size, "changed": removed is not None}))
    elif removed:
        print(f"removed {counted(len(removed.items), 'item')}, {_megabytes(removed.size)}")
    else:
        print("nothing was changed")


def _show(garbage: "Garbage") -> None:
    """The garbage on standard error, a line for each kind."""
    numbers = Counter(item.kind for item in garbage.items)
    for kind, number in numbers.items():
        size = sum(item.size for item in garbage.items if item.kind == kind)
        say(f"  {kind:<10} {number:>6}  {_megabytes(size):>14}")
    for sentence in garbage.stays:
        say(visible(sentence))
    if not garbage.items:
        say("There is nothing to remove.")


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
