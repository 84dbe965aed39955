"""Options that several commands have."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=20. May be repeated.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
ModelName = Annotated[str, typer.Option("--name", help="Name of the model; default: the only one.", show_default=False)]
OTHER_HOME = "  Another home: set GLOCAL_HOME to its absolute path."
"""Hint where a command found nothing in the home, which by default is a folder of the current directory."""
