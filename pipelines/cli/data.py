"""`glocal data`: data sets and their versions."""

import json
from pathlib import Path
from typing import Annotated

import typer

from model.config import load_config
from model.environment import Environment
from pipelines.cli.console import Console, say
from pipelines.cli.options import Json, Settings

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
    settings = load_config(None, set_ or ()).data
    from model.data.importing.dataset_name import changed_name
    from model.data.importing.pinning import pin_dataset

    environment, console = Environment(), Console()
    if not name and (text := changed_name(source)):
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
def list_(as_json: Json = False) -> None:
    """The data sets of this machine and their newest versions."""
    from model.data.versions.pin import datasets

    pins = datasets(Environment().home.data)
    if as_json:
        print(json.dumps([pin.to_json() for pin in pins]))
    else:
        for pin in pins:
            print(f"{pin.path}@{pin.rev}  {pin.files} files, {pin.classes} classes")


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
