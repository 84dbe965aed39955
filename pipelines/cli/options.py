"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from model.errors import InvalidInput

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=20. May be repeated.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
ModelName = Annotated[str, typer.Option("--name", help="Name of the model; default: the only one.", show_default=False)]


class RunnerChoice(StrEnum):
    """What executes a run."""

    LOCAL = "local"
    DOCKER = "docker"
    KUBEFLOW = "kubeflow"


Runner = Annotated[
    RunnerChoice | None, typer.Option(help="What executes it: default GLOCAL_RUNNER, else local.", show_default=False)
]
OTHER_HOME = "  Another home: set GLOCAL_HOME to its absolute path."
"""Hint where a command found nothing in the home, which by default is a folder of the current directory."""


def check_page(file: Path | None) -> None:
    """Refuse a file of `--save` whose name does not say that it is a page."""
    if file is not None and file.suffix.lower() not in {".html", ".htm"}:
        raise InvalidInput(f"{file} would not be an HTML file.", "Name it .html.")
