"""`glocal data`: data sets and their versions."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.environment import Environment
from model.text import counted, visible
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import Console, say
from pipelines.cli.options import OTHER_HOME, Json, Settings, check_page

if TYPE_CHECKING:
    from model.schemas.data_diff import DataDiff
    from model.schemas.data_pin import DataPin

_NAMED = 5
"""Samples of each kind of change that are named."""
_WHICH = "A data set, to show all its versions, or name@revision, to show one."
commands = typer.Typer(help="Data sets and their versions.", no_args_is_help=True)


@commands.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="A folder of one folder a class, a CSV, or s3://bucket/prefix.")],
    name: Annotated[str, typer.Option(help="Name of the data set; default: the folder's name.")] = "",
    csv: Annotated[
        Path | None, typer.Option(help="A CSV of file, label and, optionally, split, group and xmin, ymin, xmax, ymax.")
    ] = None,
    set_: Settings = None,
    as_json: Json = False,
) -> None:
    """Check a folder of images and keep it as a new version of a data set."""
    from model.config import load_config

    load_config(None, set_ or ())
    from model.data.importing.dataset_name import changed_name, is_there
    from pipelines.actions.data import import_data

    console = Console()
    if not Environment().server and not name and is_there(source) and (text := changed_name(source)):
        console.warn([text])
    report = ask(import_data, tell=console, source=source, name=name, settings=set_ or [], csv=str(csv or ""))
    console.warn(report.messages)
    unchanged, where = " (unchanged)" if report.unchanged else "", f" Report: {report.report}" if report.report else ""
    samples = ", ".join(f"{count} {split}" for split, count in report.samples.items() if count)
    say(f"{report.pin.path}@{report.pin.rev[:12]}: {samples}{unchanged}.{where}")
    print(json.dumps(report.to_json()) if as_json else f"{report.pin.path}@{report.pin.rev}")


@commands.command("list")
def list_(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help=_WHICH, show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """The data sets of this machine and their newest versions; of one data set all versions, newest first."""
    from pipelines.actions.data import list_datasets, list_versions

    if name:
        found = ask(list_versions, name=name)
        rows = [_row(pin) | {"imported_at": moment.isoformat()} for moment, pin in found]
        lines = [_line(pin, f"{moment:%Y-%m-%d %H:%M UTC}  ") for moment, pin in found]
    else:
        pins = ask(list_datasets)
        rows, lines = [_row(pin) for pin in pins], [_line(pin) for pin in pins]
    if as_json:
        print(json.dumps(rows))
        return
    for line in lines:
        print(line)
    if not lines:
        say(f"No data sets in {Environment().home.root}.\n{OTHER_HOME}")


@commands.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="The first version: name@revision.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B", help="The second one; a name alone is its newest.", show_default=False)],
    save: Annotated[Path | None, typer.Option(help="Write what differs as images, an HTML page.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two versions: images added, removed, relabelled; effect on the split; near copies that came across it."""
    check_page(save)
    from pipelines.actions.data import diff_data

    if save is not None:
        refuse_elsewhere(Environment(), "glocal data diff --save")
    found = ask(diff_data, tell=Console(), before=before, after=after)
    if save is not None:
        from model.data.versions.fetch import fetch
        from model.evaluation.data_changes import save_data_changes

        home = Environment().home
        save_data_changes(save, found, *(fetch(pin, home.data, home.datasets) for pin in (found.before, found.after)))
    if as_json:
        print(json.dumps({**found.model_dump(mode="json"), "page": str(save) if save else None}))
        return
    for topic, text in _changes(found):
        print(visible(f"{topic:<12} {text}"))
    if save is not None:
        say(visible(f"What differs, as images: {save}"))


def _changes(found: "DataDiff") -> Iterator[tuple[str, str]]:
    """What differs as lines of a name and a text."""
    yield "data", f"{found.before.named} ({_size(found.before)}) -> {found.after.named} ({_size(found.after)})"
    yield "both", f"{counted(found.samples, 'sample')}, {found.renamed} of them under another path"
    yield "added", _named(found.added)
    yield "removed", _named(found.removed)
    for topic, changes in (("relabelled", found.relabelled), ("moved", found.moved)):
        yield topic, _named([f"{change.before} -> {change.after}" for change in changes])
    for topic, names in (("new classes", found.classes_added), ("old classes", found.classes_removed)):
        if names:
            yield topic, _named(names)
    if found.classes_moved:
        sides = [f"{name} ({change.before} -> {change.after})" for name, change in found.classes_moved.items()]
        yield "other side", _named(sides)
    for split, change in found.splits.items():
        one, other = change.before, change.after
        yield split, f"{one.samples} -> {counted(other.samples, 'sample')}, {one.classes} -> {other.classes} classes"
    if found.seen:
        yield "seen", f"{counted(found.seen, 'test sample')} of the second version: a model trained on the first has seen them"
    yield "new leaks", _named([f"{leak.one} looks like {leak.other}" for leak in found.leaks])


def _named(changes: Sequence[object]) -> str:
    """The number of some changes, and the first of them."""
    if not changes:
        return "none"
    more = [f"and {len(changes) - _NAMED} more"] if len(changes) > _NAMED else []
    return f"{len(changes)}: {'; '.join([*map(str, changes[:_NAMED]), *more])}"


def _row(pin: "DataPin") -> dict[str, Any]:
    return pin.to_json() | {"images": pin.images}


def _line(pin: "DataPin", moment: str = "") -> str:
    return f"{pin.path}@{pin.rev}  {moment}{_size(pin)}"


def _size(pin: "DataPin") -> str:
    return f"{counted(pin.images, 'image')}, {counted(pin.classes, 'class', 'classes')}"


@commands.command()
def demo(
    out: Annotated[Path, typer.Argument(help="The folder to draw into.")],
    seed: Annotated[int, typer.Option(help="Seed; each seed draws another catalogue.")] = 0,
    as_json: Json = False,
) -> None:
    """Draw a catalogue of packaged products to try everything with; a folder that is there is left as it is."""
    from model.demo.catalogue import draw_catalogue

    if not out.exists():
        console = Console()
        draw_catalogue(out, seed=seed, progress=lambda done, total: console.progress(done, total, "images drawn"))
    print(json.dumps({"folder": str(out)}) if as_json else out)
