"""`glocal serve`: the endpoint on this machine."""

import json
from typing import Any

import typer

from model.environment import Environment
from model.errors import Unavailable
from pipelines.cli.options import Json

commands = typer.Typer(help="The endpoint on this machine.", no_args_is_help=True)


@commands.command()
def start(as_json: Json = False) -> None:
    """Start TorchServe on loopback, with what was deployed last."""
    from serving.backends.torchserve import server as torchserve

    show_server(torchserve.start(Environment().home), as_json)


@commands.command()
def status(as_json: Json = False) -> None:
    """Whether it runs, where, and what it serves. Exit code 5: it runs and does not answer."""
    from serving.backends.torchserve import server as torchserve

    show_server(torchserve.status(Environment().home), as_json)


@commands.command()
def stop(as_json: Json = False) -> None:
    """Stop TorchServe and its workers."""
    from serving.backends.torchserve import server as torchserve

    stopped = torchserve.stop(Environment().home)
    print(json.dumps({"stopped": stopped}) if as_json else "stopped" if stopped else "was not running")


def show_server(state: dict[str, Any], as_json: bool) -> None:
    """Print what serves.

    Raises:
        Unavailable: The server runs and does not answer.
    """
    if as_json:
        print(json.dumps(state))
    elif not state["running"]:
        print("not running")
    else:
        print(f"running at {state['address']}, {state['memory_mb']:.0f} MB, log {state['log']}")
        for name, model in state["models"].items():
            print(f"  {name}: version {model['default']}")
    if state["running"] and not state["healthy"]:
        raise Unavailable(
            f"TorchServe runs (process {state['pid']}) and does not answer.",
            f"glocal serve start replaces it; its log: {state['log']}",
        )
