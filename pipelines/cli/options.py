"""Options that several commands have."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=20. May be repeated.")]
OTHER_HOME = "  Another home: set GLOCAL_HOME to its absolute path."
"""Hint where a command found nothing in the home, which by default is a folder of the current directory."""
