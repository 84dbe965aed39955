"""`glocal run`: the training pipeline."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from model.environment import Environment, current_user
from model.errors import InvalidInput
from pipelines.cli.console import Console, say, summarise
from pipelines.cli.options import Json, Settings
from pipelines.signals import ended_by_signals

SOURCE = "A folder with one subfolder for each class, a CSV, s3://bucket/prefix, or name@revision."
"""What the data of a run are named by, for the help of commands."""


def run(
    directory: Annotated[str | None, typer.Argument(metavar="DIR", help=SOURCE, show_default=False)] = None,
    data: Annotated[str | None, typer.Option(help="The same as DIR.")] = None,
    name: Annotated[str, typer.Option(help="Name of the data set; default: the folder's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    set_: Settings = None,
    why: Annotated[str, typer.Option(help="The reason, for the promotion's record.")] = "a training run",
    queue: Annotated[bool, typer.Option("--queue", help="Put it into the queue, print its id, and return.")] = False,
    as_json: Json = False,
) -> None:
    """Run the training pipeline: version, train, index, evaluate, gate, register, deploy, smoke test."""
    source = _source(directory, data)
    from model.config import load_config, read_settings

    settings = load_config(config, set_ or ())
    if queue:
        _queue(as_json, source=source, name=name, settings=read_settings(config, set_ or ()), why=why)
        return
    from pipelines.running import run_training

    with ended_by_signals():
        result = run_training(source, settings, name=name, environment=Environment(), listener=Console(), why=why)
    summarise(result)
    if as_json:
        print(json.dumps(result.to_json()))
    sys.exit(result.exit_code)


def _queue(as_json: bool, **given: Any) -> None:
    """Put a run into the queue, and start the worker if it does not run."""
    from model.schemas.order import Order
    from pipelines.queue.orders import order_state, submit
    from pipelines.queue.worker import ensure_worker
    from pipelines.running import new_name

    environment = Environment()
    order = submit(environment, Order.given(id=new_name(), user=current_user(), **given))
    ensure_worker(environment)
    if as_json:
        print(order_state(environment, order.id).model_dump_json())
        return
    say(f"It is in the queue: glocal runs shows it, glocal runs cancel {order.id} ends it.")
    print(order.id)


def _source(directory: str | None, data: str | None) -> str:
    if directory is not None and data is not None and directory != data:
        raise InvalidInput(f"Both {directory} and --data {data} are given.", "Give one of them.")
    source = data if directory is None else directory
    if source is None:
        raise InvalidInput("There are no data to run on.", "Name them: glocal run DIR. See glocal run --help.")
    return source
