"""`glocal models` and `glocal history`: the registered versions, and what served when."""

import json
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.errors import InvalidInput, NotFound
from model.text import visible
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import say
from pipelines.cli.options import Json

if TYPE_CHECKING:
    from model.schemas.model_version import ModelVersion
    from model.schemas.promotion import Promotion

Name = Annotated[str, typer.Argument(help="Name of the model; default: all models.", show_default=False)]
_FIGURES = ("recall_at_1", "map_at_r")
_NONE = "No model is registered here. Train one: glocal run DIR."


def models(name: Name = "", as_json: Json = False) -> None:
    """List the registered versions, their aliases, and their figures beside the champion's.

    The figures are those of the report of each version, on its own data.
    """
    from pipelines.actions.models import list_models

    found = ask(list_models)
    if name and name not in found:
        raise NotFound(f"There is no model {name}.", f"Registered: {', '.join(found) or 'none'}.")
    found = {name: found[name]} if name else found
    if as_json:
        print(json.dumps({"models": {each: [one.model_dump(mode="json") for one in found[each]] for each in found}}))
        return
    for each, versions in found.items():
        champion = next((one for one in versions if "champion" in one.aliases), None)
        for version in versions:
            print(visible(_version_line(each, version, champion)))
    if not found:
        say(_NONE)


def history(
    name: Name = "",
    at: Annotated[str, typer.Option(help="Show what served at a time, such as '2026-11-29 14:30' (local) or an ISO time.")] = "",
    verify: Annotated[bool, typer.Option("--verify", help="Check that no entry or release was changed or removed.")] = False,
    as_json: Json = False,
) -> None:
    """Show every attempt to change what serves: when, who, why, and how it ended.

    Exit code 2 with --verify: the history, or a stored release, was changed; each fault is named.
    """
    from pipelines.actions.models import read_history
    from serving.history import history_faults, refuse_faults, release_faults, served_at

    environment = Environment()
    if verify:
        refuse_elsewhere(environment, "glocal history --verify")
        changed, damaged = (check(environment.home, environment.mlflow_uri) for check in (history_faults, release_faults))
        for fault in chain(changed, damaged):
            say(visible(fault))
        refuse_faults(environment.home, changed)
        if damaged:
            raise InvalidInput("Stored releases were changed.", "Restore their files from a copy, or run the pipeline again.")
    entries = ask(read_history, model=name)
    if at:
        entries = served_at(entries, _moment(at))
    if as_json:
        print(
            json.dumps({"history": [entry.model_dump(mode="json") for entry in entries], **({"intact": True} if verify else {})})
        )
        return
    for entry in entries:
        print(visible(entry_line(entry)))
    if not entries:
        say(f"Nothing served at {at}." if at else "Nothing was promoted here yet.")
    if verify:
        say("The history is intact: every line fits the line before it, MLflow has the same entries, and no release was changed.")


def local_time(milliseconds: int) -> str:
    """A time in milliseconds since 1970, for people of this machine's time zone."""
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def entry_line(entry: "Promotion") -> str:
    """An entry of the history for people."""
    change = f"version {entry.version}" if entry.evidence else f"{entry.before or 'nothing'} -> {entry.version}"
    return f"{local_time(entry.ended or entry.when)}  {entry.model}  {change}  {entry.outcome}  by {entry.by}  {entry.why}"


def _version_line(name: str, version: "ModelVersion", champion: "ModelVersion | None") -> str:
    figures = []
    for figure in _FIGURES:
        if (value := version.figures.get(figure)) is not None:
            than = champion.figures.get(figure) if champion is not None and champion.version != version.version else None
            figures.append(f"{figure} {value:.3f}" + (f" ({value - than:+.3f})" if than is not None else ""))
    aliases = ", ".join(version.aliases)
    data = f"{version.data_name}@{version.data_rev[:7]}" if version.data_name else ""
    files = "files removed" if version.removed else ""
    made, release = local_time(version.created), f"release {version.release}"
    parts = (f"{name} {version.version}", aliases, files, made, "  ".join(figures), data, release)
    return "  ".join(filter(None, parts))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInput(f"{text[:50]!r} is no time.", "Write it as '2026-11-29 14:30'.") from error
    return moment if moment.tzinfo else moment.astimezone()
