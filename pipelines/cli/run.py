"""`glocal run`: the training pipeline."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from model.environment import Environment
from model.errors import InvalidInput
from model.schemas.run_result import REJECTED_EXIT_CODE
from model.signals import ended_by_signals
from model.text import visible
from pipelines.actions.action import ask
from pipelines.cli.console import Console, say, summarise
from pipelines.cli.options import Json, Runner, Settings

SOURCE = "A folder with one subfolder for each class, a CSV, s3://bucket/prefix, or name@revision."
"""What the data of a run are named by, for the help of commands."""
_PAUSE_S = 0.5
"""Seconds between two looks at a queued run that is followed."""


def run(
    directory: Annotated[str | None, typer.Argument(metavar="DIR", help=SOURCE, show_default=False)] = None,
    data: Annotated[str | None, typer.Option(help="The same as DIR.")] = None,
    name: Annotated[str, typer.Option(help="Name of the data set; default: the folder's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    set_: Settings = None,
    why: Annotated[str, typer.Option(help="The reason, for the promotion's record.")] = "a training run",
    runner: Runner = None,
    queue: Annotated[bool, typer.Option("--queue", help="Put it into the queue, print its id, and return.")] = False,
    as_json: Json = False,
) -> None:
    """Run the training pipeline: version, train, index, evaluate, gate, register, deploy, smoke test."""
    source = _source(directory, data)
    from model.config import load_config, read_settings

    settings = load_config(config, set_ or ())
    environment = Environment()
    if queue or environment.server:
        given = {
            "source": source,
            "name": name,
            "settings": read_settings(config, set_ or ()),
            "why": why,
            "runner": runner or "",
        }
        _queue(given, follow=not queue, as_json=as_json)
        return
    from pipelines.running import run_training

    with ended_by_signals():
        environment = environment.run_by(runner or "")
        result = run_training(source, settings, name=name, environment=environment, listener=Console(), why=why)
    summarise(result)
    if as_json:
        print(json.dumps(result.to_json()))
    sys.exit(result.exit_code)


def _queue(given: dict[str, Any], *, follow: bool, as_json: bool) -> None:
    """Put a run into the queue, here or at the dashboard that GLOCAL_SERVER names, and follow it to its end if that is wanted."""
    from pipelines.actions.runs import order_run, show_order

    order = ask(order_run, **given)
    say(f"It is in the queue: glocal runs shows it, glocal runs cancel {order.id} ends it.")
    if follow:
        _follow(order.id, as_json=as_json)
    elif as_json:
        print(ask(show_order, order_id=order.id).state.model_dump_json())
    else:
        print(order.id)


def _follow(order_id: str, *, as_json: bool) -> None:
    """Show the events of a queued run as they come. The command ends as the run did; Ctrl-C ends the command alone."""
    from pipelines.actions.runs import show_order
    from pipelines.cli.runs import order_line

    console, offset = Console(), 0
    while True:
        found = ask(show_order, order_id=order_id, offset=offset)
        for event in found.events:
            console(event)
        offset = found.offset
        if found.state.ended is not None:
            break
        time.sleep(_PAUSE_S)
    print(found.state.model_dump_json() if as_json else visible(order_line(found.state)))
    failure = found.state.error
    if failure and failure.hint:
        say(visible(f"  {failure.hint}"))
    sys.exit({"succeeded": 0, "awaiting": 0, "rejected": REJECTED_EXIT_CODE}.get(found.state.state, 1))


def _source(directory: str | None, data: str | None) -> str:
    if directory is not None and data is not None and directory != data:
        raise InvalidInput(f"Both {directory} and --data {data} are given.", "Give one of them.")
    source = data if directory is None else directory
    if source is None:
        raise InvalidInput("There are no data to run on.", "Name them: glocal run DIR. See glocal run --help.")
    return source
