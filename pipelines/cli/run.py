"""`glocal run`: the training pipeline."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.environment import Environment
from model.errors import InvalidInput
from pipelines.cli.console import Console, summarise
from pipelines.cli.options import Json, Settings
from pipelines.signals import ended_by_signals

_WHERE = "A folder with one subfolder for each class, a CSV, s3://bucket/prefix, or name@revision."


def run(
    directory: Annotated[str | None, typer.Argument(metavar="DIR", help=_WHERE, show_default=False)] = None,
    data: Annotated[str | None, typer.Option(help="The same as DIR.")] = None,
    name: Annotated[str, typer.Option(help="Name of the data set; default: the folder's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    set_: Settings = None,
    why: Annotated[str, typer.Option(help="The reason, for the promotion's record.")] = "a training run",
    as_json: Json = False,
) -> None:
    """Run the training pipeline: version, train, index, evaluate, gate, register, deploy, smoke test."""
    source = _source(directory, data)
    from model.config import load_config

    settings = load_config(config, set_ or ())
    from pipelines.running import run_training

    with ended_by_signals():
        result = run_training(source, settings, name=name, environment=Environment(), listener=Console(), why=why)
    summarise(result)
    if as_json:
        print(json.dumps(result.to_json()))
    sys.exit(result.exit_code)


def _source(directory: str | None, data: str | None) -> str:
    if directory is not None and data is not None and directory != data:
        raise InvalidInput(f"Both {directory} and --data {data} are given.", "Give one of them.")
    source = data if directory is None else directory
    if source is None:
        raise InvalidInput("There are no data to run on.", "Name them: glocal run DIR. See glocal run --help.")
    return source
