"""`glocal corrections`: images whose answers were wrong, with their right labels, until they go into a data set."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.errors import InvalidInput
from pipelines.actions.action import ask
from pipelines.cli.console import Console, show_all
from pipelines.cli.options import Json, ModelName
from pipelines.cli.runs import local

if TYPE_CHECKING:
    from model.data.manifest import Box
    from model.schemas.correction import Correction

commands = typer.Typer(help="Images whose answers were wrong, with their right labels.", invoke_without_command=True)
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of corrections.")]


@commands.callback()
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the corrections, newest first."""
    if context.invoked_subcommand:
        return
    from pipelines.actions.corrections import list_corrections

    nothing = "There are no corrections. Keep one: glocal corrections add IMAGE --label LABEL"
    show_all(ask(list_corrections), _line, nothing, as_json=as_json)


@commands.command()
def add(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="The image that was asked about; both of a verification.")
    ],
    label: Annotated[list[str], typer.Option(help="What it shows; a label for each image, or one for all.")],
    name: ModelName = "",
    operation: Annotated[str, typer.Option("--op", help="The operation whose answer was wrong.")] = "search",
    box: Annotated[str, typer.Option(help="Where the object is: xmin,ymin,xmax,ymax in pixels.")] = "",
    as_json: Json = False,
) -> None:
    """Keep images whose answers were wrong with their right labels."""
    from model.schemas.sent_file import SentFile
    from pipelines.actions.corrections import correct
    from pipelines.actions.models import model_of

    try:
        sent = tuple(SentFile.of(each.name, each.read_bytes()) for each in images)
    except OSError as error:
        raise InvalidInput(f"{error.filename} cannot be read.", "Name a file.") from error
    place = _box(box) if box else None
    labels = label * len(sent) if len(label) == 1 else label
    made = ask(correct, model=model_of(name), images=sent, labels=labels, operation=operation, box=place)
    print(json.dumps([each.model_dump(mode="json") for each in made]) if as_json else "\n".join(each.id for each in made))


@commands.command()
def drop(identities: Ids, as_json: Json = False) -> None:
    """Remove corrections and their images."""
    from pipelines.actions.corrections import drop_correction

    dropped = [ask(drop_correction, correction=each) for each in identities]
    print(json.dumps([each.id for each in dropped]) if as_json else "\n".join(each.id for each in dropped))


@commands.command()
def accept(identities: Ids, as_json: Json = False) -> None:
    """Import the newest version of their data set with corrected images as its next version. Nothing is trained."""
    from pipelines.actions.corrections import accept_corrections, list_corrections
    from serving.corrections import data_of

    chosen = [each for each in ask(list_corrections) if each.id in identities]
    console = Console()
    report = ask(accept_corrections, tell=console, data=data_of(chosen), corrections=identities)
    console.warn(report.messages)
    print(json.dumps(report.to_json()) if as_json else f"{report.pin.path}@{report.pin.rev}")


def _box(text: str) -> "Box":
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError as error:
        raise InvalidInput(f"{text[:100]!r} is no box.", "Such as --box 10,20,110,220.") from error
    return left, top, right, bottom


def _line(each: "Correction") -> str:
    """A correction for people."""
    said = f"{each.asked.operation} said: {each.asked.said[0]}" if each.asked.said else each.asked.operation
    parts = (each.id, f"{each.name} is {each.label}", f"for {each.data}", said, local(each.at), f"by {each.by}", each.accepted)
    return "  ".join(filter(None, parts))
