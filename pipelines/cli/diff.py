"""`glocal diff`: two registered versions, side by side."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.text import counted, visible
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import say
from pipelines.cli.options import Json, ModelName, check_page
from pipelines.cli.promote import figure_text

if TYPE_CHECKING:
    from model.schemas.data_pin import DataPin
    from model.schemas.version_diff import VersionDiff, WonAndLost


def diff(
    before: Annotated[str, typer.Argument(metavar="V", help="The first version.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="W", help="The second version.", show_default=False)],
    name: ModelName = "",
    save: Annotated[Path | None, typer.Option(help="Write the queries won and lost as images, an HTML page.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two versions: settings, data, figures, and queries won and lost."""
    from pipelines.actions.models import diff_versions, model_of

    check_page(save)
    environment = Environment()
    found = ask(diff_versions, model=model_of(name), before=before, after=after)
    if save is not None:
        from serving.version_diff import save_queries

        refuse_elsewhere(environment, "glocal diff --save")
        save_queries(environment.home, environment.mlflow_uri, found.before, found.after, save)
    if as_json:
        print(json.dumps({**found.model_dump(mode="json"), "page": str(save) if save else None}))
        return
    for topic, text in _lines(found):
        print(visible(f"{topic:<24} {text}"))
    for note in found.notes:
        say(visible(f"Not compared: {note}"))
    if save is not None:
        say(visible(f"Queries won and lost, as images: {save}"))


def _lines(found: "VersionDiff") -> Iterator[tuple[str, str]]:
    """The differences as lines of a name and a text."""
    yield "version", f"{found.before.version} -> {found.after.version}"
    for name, setting in found.settings.items():
        yield name, f"{setting.before or 'unset'} -> {setting.after or 'unset'}"
    yield from _data_lines(found)
    if not found.same_space:
        yield "embedding space", "another: vectors and scores that callers keep cannot be compared with the new ones"
    for name, figure in found.figures.items():
        yield name, figure_text(figure)
    if found.queries:
        yield "queries", _queries(found.queries)


def _data_lines(found: "VersionDiff") -> Iterator[tuple[str, str]]:
    data = found.data
    if data.before and data.after and data.before.md5 != data.after.md5:
        yield "data", f"{_pin(data.before)} -> {_pin(data.after)}"
        if data.added is not None and data.removed is not None:
            yield "", f"{counted(data.added, 'image')} added, {data.removed} removed"
    else:
        yield "data", f"the same: {_pin(data.before)}" if data.before and data.after else "not known"
    if found.gallery:
        yield "gallery", f"{found.gallery.before} -> {found.gallery.after}"


def _pin(pin: "DataPin | None") -> str:
    if pin is None:
        return "unknown"
    return f"{pin.named} ({counted(pin.images, 'image')}, {counted(pin.classes, 'class', 'classes')})"


def _queries(queries: "WonAndLost") -> str:
    return f"{queries.won} won, {queries.lost} lost of {queries.queries}, by MAP@R"
