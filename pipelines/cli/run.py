"""`glocal run`: the training pipeline."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.config import ModelConfig, RunConfig, load_config
from model.data.importing.dataset_name import default_name, own_name
from model.environment import Environment
from model.errors import InvalidInput
from model.networks.methods import get_method
from pipelines.cli.console import Console, say, summarise
from pipelines.cli.options import Json, Settings

_WHERE = "A folder of one folder a class, a CSV, s3://bucket/prefix, or name@revision."


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
    settings = load_config(config, set_ or ())
    check_names(settings)
    from pipelines.running import locate, run_training

    located = locate(source)
    result = run_training(located, name or _named(source), settings, environment=Environment(), listener=Console(), why=why)
    summarise(result)
    if as_json:
        print(json.dumps(result.to_json()))
    sys.exit(result.exit_code)


def check_names(config: RunConfig) -> None:
    """Refuse the name of a method, an attention block or a trunk that there is none of, before anything is started.

    Raises:
        InvalidInput: There is no such method, head or trunk, or no weights of that trunk.
    """
    model = config.model
    get_method(model.method, global_attention=model.global_attention, local_attention=model.local_attention)
    default = ModelConfig()
    if (model.trunk, model.weights) != (default.trunk, default.weights):
        from model.networks.trunk import check_trunk  # torch, which a run of the default trunk does not wait for

        check_trunk(model.trunk, model.weights)


def _source(directory: str | None, data: str | None) -> str:
    if directory is not None and data is not None and directory != data:
        raise InvalidInput(f"Both {directory} and --data {data} are given.", "Give one of them.")
    source = data if directory is None else directory
    if source is None:
        raise InvalidInput("There are no data to run on.", "Name them: glocal run DIR. See glocal run --help.")
    return source


def _named(source: str) -> str:
    """The default name; a person is told where it is not the folder's own."""
    name = default_name(source)
    if name != own_name(source):
        say(f"The data set is called {name}, after {source}. Another name: --name NAME.")
    return name
