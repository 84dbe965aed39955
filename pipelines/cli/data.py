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
    name: Annotated[str, typer.Option(help="Name of the data set.")],
    csv: Annotated[
        Path | None, typer.Option(help="A CSV of file, label and, optionally, split, group and xmin, ymin, xmax, ymax.")
    ] = None,
    set_: Settings = None,
    as_json: Json = False,
) -> None:
    """Check a folder of images and keep it as a new version of a data set."""
    settings = load_config(None, set_ or ()).data
    from model.data.importing.findings import shown
    from model.data.importing.import_dataset import import_dataset

    environment, console = Environment(), Console()
    report = import_dataset(
        source,
        name,
        environment.home.data,
        csv=csv,
        split=settings.split,
        validation_fraction=settings.validation_fraction,
        leaks=settings.leaks,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        remote=environment.data_remote or None,
        licence=settings.licence,
        progress=console.progress,
    )
    console.warn(shown(report.warnings, report.report))
    if sum(report.classes.values()) > 0 and report.classes.get("train", 0) < 2 and set(report.classes) != {"scene"}:
        say("Warning: fewer than two classes to train on. Five classes leave two; or give a CSV with a split column.")
    samples = ", ".join(f"{count} {split}" for split, count in report.samples.items() if count)
    say(f"{name}@{report.pin.rev[:12]}: {samples}{' (unchanged)' if report.unchanged else ''}. Report: {report.report}")
    print(json.dumps(report.to_json()) if as_json else f"{name}@{report.pin.rev}")


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
    seed: Annotated[int, typer.Option(help="Another seed, another catalogue.")] = 0,
    as_json: Json = False,
) -> None:
    """Draw a catalogue of packaged products to try everything with; a folder that is there is left as it is."""
    from model.demo.catalogue import draw_catalogue

    if not out.exists():
        console = Console()
        draw_catalogue(out, seed=seed, progress=lambda done, total: console.progress(done, total, "images drawn"))
    print(json.dumps({"folder": str(out)}) if as_json else out)
