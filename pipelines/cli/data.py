"""`glocal data`: data sets and their versions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.environment import Environment
from model.text import counted
from pipelines.cli.console import Console, say
from pipelines.cli.options import OTHER_HOME, Json, Settings

if TYPE_CHECKING:
    from model.schemas.data_pin import DataPin

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

    settings = load_config(None, set_ or ()).data
    from model.data.importing.dataset_name import changed_name, is_there
    from model.data.importing.pinning import pin_dataset

    environment, console = Environment(), Console()
    if not name and is_there(source) and (text := changed_name(source)):
        console.warn([text])
    report = pin_dataset(
        source,
        name or None,
        environment.home.data,
        settings,
        csv=csv,
        remote=environment.data_remote or None,
        progress=console.progress,
    )
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
    from model.claim import check_folders
    from model.data.versions.pin import datasets, versions

    home = Environment().home
    check_folders(home, home.data.root)
    if name:
        found = versions(home.data, name)
        rows = [_row(pin) | {"imported_at": moment.isoformat()} for moment, pin in found]
        lines = [_line(pin, f"{moment:%Y-%m-%d %H:%M UTC}  ") for moment, pin in found]
    else:
        pins = datasets(home.data)
        rows, lines = [_row(pin) for pin in pins], [_line(pin) for pin in pins]
    if as_json:
        print(json.dumps(rows))
        return
    for line in lines:
        print(line)
    if not lines:
        say(f"No data sets in {home.root}.\n{OTHER_HOME}")


def _row(pin: "DataPin") -> dict[str, Any]:
    return pin.to_json() | {"images": pin.images}


def _line(pin: "DataPin", moment: str = "") -> str:
    return f"{pin.path}@{pin.rev}  {moment}{counted(pin.images, 'image')}, {counted(pin.classes, 'class', 'classes')}"


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
