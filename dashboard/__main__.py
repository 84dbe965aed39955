"""The dashboard's process: `python -m dashboard`, behind `glocal dashboard`."""

import logging
import os
import socket
import sys
from collections.abc import Callable
from threading import Thread
from typing import Any

import httpx
import psutil
import typer
import uvicorn

from dashboard.app import make_app
from dashboard.security.audit import AUDIT
from dashboard.security.sessions import make_link
from model.claim import claim
from model.environment import Environment, prepare_process
from model.errors import Conflict, GlocalError, InvalidInput, Unavailable
from model.files import read_json, write_json
from model.home import DashboardFolder
from model.locks import hold, is_held
from model.text import visible
from serving.gateway.http import make_config
from serving.printed import write_logs
from serving.processes import bind_port, end_processes, own_environment, start_detached, wait_until
from serving.protocol import local_address
from serving.registry.opened import warm_up

app = typer.Typer(add_completion=False, help="The dashboard: start and watch runs, promote models, try the endpoint.")
_GRACE_S = 3
_START_S, _FREE_S = 60.0, 2.0
"""Seconds for a dashboard to begin, and for one that ends to let go of the home."""


@app.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Serve the dashboard until Ctrl-C; prints a link that signs you in, once."""
    if context.invoked_subcommand is not None:
        return
    folder = Environment().home.dashboard
    if (running := running_at(folder)) is not None:
        print(f"The dashboard runs already: {make_link(folder, running)}")
        return
    _serve(lambda address: print(f"The dashboard: {make_link(folder, address)}", flush=True))


@app.command(hidden=True)
def serve() -> None:
    """Serve the dashboard, and print nothing: what a log holds signs nobody in."""
    _serve(lambda address: None)


@app.command()
def start() -> None:
    """Serve the dashboard in the background, and print a link that signs you in, once."""
    environment = Environment()
    folder = environment.home.dashboard
    if running_at(folder) is None:
        claim(environment.home)
        command, home = [sys.executable, "-m", "dashboard", "serve"], environment.home
        start_detached(command, folder=home.root, environment=own_environment(home), log=folder.log)
        if not wait_until(lambda: running_at(folder) is not None, deadline_s=_START_S):
            raise Unavailable("The dashboard did not start.", f"Its log says why: {folder.log}")
    print(f"The dashboard: {make_link(folder, str(running_at(folder)))}")


@app.command()
def link() -> None:
    """Print a link that signs the owner of this home in, once; an earlier link that was not used ends."""
    folder = Environment().home.dashboard
    if (address := running_at(folder)) is None:
        raise Unavailable("The dashboard does not run.", "Start it: glocal dashboard start.")
    print(make_link(folder, address))


@app.command()
def stop() -> None:
    """Stop the dashboard. Runs and the endpoint go on."""
    folder = Environment().home.dashboard
    found = _living(folder)
    if found is not None:
        end_processes([found[0]], wait_s=_GRACE_S + 10)
    print("stopped" if found else "was not running")


def _serve(announce: Callable[[str], None]) -> None:
    """Serve until a signal ends the process.

    Args:
        announce: Called with the address once the port is bound.
    """
    environment = Environment()
    folder = environment.home.dashboard
    claim(environment.home)
    with hold(folder.lock, wait_s=_FREE_S, busy="A dashboard of this home runs already, or is being started."):
        write_logs({logging.getLogger(): folder.log, AUDIT: folder.audit_log})
        logging.getLogger("glocal").setLevel(logging.INFO)
        with _listening(environment) as listening:
            own = local_address(listening.getsockname()[1], environment.dashboard_host)
            address = environment.dashboard_address.rstrip("/") or own
            made = make_app(environment, address=address)
            config = make_config(made)
            # with its lifespan the monitor of the services begins and ends
            config.timeout_graceful_shutdown, config.lifespan = _GRACE_S, "on"
            write_json(folder.state, {"pid": os.getpid(), "local": own, "address": address})
            server = uvicorn.Server(config)
            Thread(target=warm_up, args=(environment,), daemon=True).start()  # MLflow takes seconds to import
            made.state.is_stopping = lambda: server.should_exit
            announce(address)
            server.run([listening])  # ended by a signal it never returns: what the state says counts while the lock is held


def _listening(environment: Environment) -> socket.socket:
    """The socket that the dashboard listens at; at another port than the one of the settings if that is taken.

    Raises:
        InvalidInput: The host is none of this machine's.
        Conflict: The port is taken, and browsers are sent there by an address that is set.
    """
    host, port = environment.dashboard_host, environment.dashboard_port
    try:
        bound = bind_port(port, host)
    except OSError as error:
        hint = "Set GLOCAL_DASHBOARD_HOST to an address of this machine, such as 127.0.0.1."
        raise InvalidInput(f"The dashboard cannot listen at {host}: {error.strerror or error}.", hint) from error
    if environment.dashboard_address and port not in {0, bound.getsockname()[1]}:
        bound.close()
        hint = "End what listens there, or set GLOCAL_DASHBOARD_PORT to the port that this address leads to."
        raise Conflict(f"Port {port}, to which {environment.dashboard_address} leads, is taken.", hint)
    return bound


def running_at(folder: DashboardFolder) -> str | None:
    """The address of this home's dashboard; None if none answers. At the address of one that was killed another home's may."""
    if (found := _living(folder)) is None:
        return None
    _, state = found
    try:
        answer = httpx.get(f"{state['local']}/healthz", timeout=2, trust_env=False)
        return str(state["address"]) if answer.is_success else None
    except (KeyError, ValueError, httpx.HTTPError, httpx.InvalidURL):
        return None


def _living(folder: DashboardFolder) -> tuple[psutil.Process, dict[str, Any]] | None:
    """The process of this home's dashboard, and its state; None if it does not live."""
    try:
        state = read_json(folder.state)
        process = psutil.Process(int(state["pid"]))
        return (process, state) if is_held(folder.lock) and "dashboard" in process.cmdline() else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, psutil.Error):
        return None


def main() -> None:
    """Run the command line."""
    prepare_process(Environment().home)
    try:
        app(prog_name="glocal dashboard")
    except GlocalError as error:
        print(visible(f"Error: {error.headline}"), file=sys.stderr)
        if error.hint:
            print(visible(f"  {error.hint}"), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
