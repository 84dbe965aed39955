"""`glocal serve`: the endpoint on this machine."""

import json
from typing import TYPE_CHECKING

import typer

from model.environment import Environment
from pipelines.cli.console import say
from pipelines.cli.options import OTHER_HOME, Json

if TYPE_CHECKING:
    from model.schemas.status import ServerStatus

commands = typer.Typer(help="The endpoint on this machine.", no_args_is_help=True)


@commands.command()
def start(as_json: Json = False) -> None:
    """Start the endpoint on loopback, with what was deployed last, and reconcile it with the registry.

    Runs that were killed are recorded as killed.
    """
    from pipelines.killed_runs import close_runs_of
    from serving.reconcile import start_server

    environment = Environment()
    started = start_server(environment.home, environment.mlflow_uri)
    close_runs_of(environment.home, environment.mlflow_uri, lambda text: say(f"Warning: {text}"))
    show_server(started, as_json, idle_is_fine=True)


@commands.command()
def status(as_json: Json = False) -> None:
    """Show whether the endpoint runs, its address, the served versions, and differences between records.

    Exit code 5: the endpoint runs and does not serve.
    """
    from serving.reconcile import server_status

    environment = Environment()
    show_server(server_status(environment.home, environment.mlflow_uri), as_json)


@commands.command()
def stop(as_json: Json = False) -> None:
    """Stop the gateway, the server behind it, and its workers."""
    from serving import server

    home = Environment().home
    stopped = server.stop(home)
    print(json.dumps({"stopped": stopped}) if as_json else "stopped" if stopped else f"was not running in {home.root}")
    if not stopped and not as_json:
        say(OTHER_HOME)


def show_server(state: "ServerStatus", as_json: bool, *, idle_is_fine: bool = False) -> None:
    """Print what serves.

    Args:
        state: The endpoint as it was found.
        as_json: Print one JSON object.
        idle_is_fine: A server without a model is no error.

    Raises:
        GlocalError: The server runs and does not do its work, or the registry is damaged.
    """
    for difference in (each for each in state.differences if not each.remedy):
        say(f"Warning: {difference}")
    if as_json:
        print(state.model_dump_json())
    elif not state.running:
        print(f"not running in {state.home}")
        if not state.fault:
            say(OTHER_HOME)
    else:
        print(f"running at {state.address}, {state.memory_mb:.0f} MB, log {state.log}")
        for name, model in state.models.items():
            print(f"  {name}: version {model.default}{'' if model.ready else ', no worker is ready'}")
    idle = state.state == "empty" and not state.missing and not state.unsettled
    if state.fault and not (idle and idle_is_fine):
        raise state.fault
