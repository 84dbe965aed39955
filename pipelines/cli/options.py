"""Options that several commands have."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, such as train.epochs=20. May be repeated.")]
