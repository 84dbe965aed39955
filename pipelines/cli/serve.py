"""`glocal serve`: the endpoint on this machine."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import Console, say
from pipelines.cli.options import OTHER_HOME, Json

if TYPE_CHECKING:
    from model.schemas.challenge import Mode, ServedChallenger, TriedOperation
    from model.schemas.status import ServerStatus

commands = typer.Typer(help="The endpoint on this machine.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the served model.")]
Version = Annotated[str, typer.Argument(help="The registered version that is tried.")]
ErrorRate = Annotated[float, typer.Option(help="Share of failed requests above which the gateway aborts it.")]
LatencyRatio = Annotated[
    float, typer.Option(help="Multiple of the latency of the version that serves above which it is aborted.")
]
Workers = Annotated[int, typer.Option(help="Number of its worker processes.", min=1)]


@commands.command()
def start(as_json: Json = False) -> None:
    """Start the endpoint on loopback, with what was deployed last, and reconcile it with the registry.

    Runs that were killed are recorded as killed.
    """
    from pipelines.killed_runs import close_runs_of
    from serving.reconcile import start_server

    environment = Environment()
    refuse_elsewhere(environment, "glocal serve start")
    started = start_server(environment.home, environment.mlflow_uri)
    close_runs_of(environment.home, environment.mlflow_uri, lambda text: say(f"Warning: {text}"))
    show_server(started, as_json, idle_is_fine=True)


@commands.command()
def status(as_json: Json = False) -> None:
    """Show whether the endpoint runs, its address, the served versions, and differences between records.

    Exit code 5: the endpoint runs and does not serve.
    """
    from pipelines.actions.endpoint import show_endpoint

    show_server(ask(show_endpoint), as_json)


@commands.command()
def stop(as_json: Json = False) -> None:
    """Stop the gateway, the server behind it, and its workers."""
    from serving import server

    refuse_elsewhere(Environment(), "glocal serve stop")
    home = Environment().home
    stopped = server.stop(home)
    print(json.dumps({"stopped": stopped}) if as_json else "stopped" if stopped else f"was not running in {home.root}")
    if not stopped and not as_json:
        say(OTHER_HOME)


@commands.command()
def shadow(
    name: Name,
    version: Version,
    share: Annotated[float, typer.Option(help="Share of the requests that it is asked as well.")] = 0.1,
    max_error_rate: ErrorRate = 0.05,
    max_latency_ratio: LatencyRatio = 2.0,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Ask a version beside the one that serves, and compare its answers, which nobody gets."""
    _challenge("shadow", name, version, (share, max_error_rate, max_latency_ratio), workers, as_json)


@commands.command()
def canary(
    name: Name,
    version: Version,
    share: Annotated[float, typer.Option(help="Share of the API keys that it answers.")] = 0.05,
    max_error_rate: ErrorRate = 0.05,
    max_latency_ratio: LatencyRatio = 2.0,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Let a version answer a share of the API keys, beside the one that serves."""
    _challenge("canary", name, version, (share, max_error_rate, max_latency_ratio), workers, as_json)


@commands.command()
def end(name: Name, as_json: Json = False) -> None:
    """End the shadow or canary of a model; the version that serves answers alone."""
    from pipelines.actions.endpoint import end_challenge

    version = ask(end_challenge, tell=Console(), model=name).ended
    if as_json:
        print(json.dumps({"ended": version}))
    else:
        print(f"{name}: version {version} is no longer tried" if version else f"{name} has no shadow or canary")


@commands.command()
def trial(name: Name, as_json: Json = False) -> None:
    """Show the shadow or canary of a model, and what the gateway has measured of it."""
    from pipelines.actions.endpoint import show_challenge

    found = ask(show_challenge, model=name)
    if as_json:
        print(found.model_dump_json())
    elif found.challenger is None:
        print(f"{name} has no shadow or canary")
    else:
        print(f"{name}: {_described(found.challenger)}")
        for operation, tried in found.measured.items():
            print(f"  {operation:<8} {_measured(tried)}")


def _measured(tried: "TriedOperation") -> str:
    """What was measured of one operation in one line for a person."""
    said = [f"{tried.answered} answered", f"{tried.failed} failed", f"{tried.skipped} skipped"]
    said += [f"agreement {tried.agreement:.3f} of {tried.compared}"] if tried.agreement is not None else []
    if tried.seconds is not None:
        beside = f", the version that serves {1000 * tried.champion_seconds:.0f} ms" if tried.champion_seconds else ""
        said.append(f"{1000 * tried.seconds:.0f} ms{beside}")
    return ", ".join(said)


def _challenge(mode: "Mode", name: str, version: str, limits: tuple[float, float, float], workers: int, as_json: bool) -> None:
    from pipelines.actions.endpoint import start_challenge

    share, errors, latency = limits
    begun = ask(
        start_challenge,
        tell=Console(),
        model=name,
        version=version,
        mode=mode,
        share=share,
        max_error_rate=errors,
        max_latency_ratio=latency,
        workers=workers,
    )
    print(begun.model_dump_json() if as_json else f"{name}: {_described(begun)}")


def _described(challenger: "ServedChallenger") -> str:
    """A challenger in one line for a person."""
    terms = challenger.challenge
    shared = "keys" if terms.mode == "canary" else "requests"
    said = f"version {challenger.version} as {terms.mode}, {100 * terms.share:.4g} % of the {shared}"
    if challenger.aborted:
        return f"{said}, aborted: {challenger.aborted}"
    return said if challenger.ready else f"{said}, no worker is ready"


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
        where = f" at {state.address}" if state.address else ""  # whose gateway has ended has none
        print(f"running{where} under {state.backend}, {state.memory_mb:.0f} MB, log {state.log}")
        for name, model in state.models.items():
            print(f"  {name}: version {model.default}{'' if model.ready else ', no worker is ready'}")
            if name in state.challengers:
                print(f"    {_described(state.challengers[name])}")
                if state.challengers[name].aborted:
                    say(f"It is not asked any more and keeps its workers' memory until: glocal serve end {name}")
    idle = state.state == "empty" and not state.missing and not state.unsettled
    if state.fault and not (idle and idle_is_fine):
        raise state.fault
