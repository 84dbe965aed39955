"""`glocal runs`: what is queued, what runs, and what ended."""

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.text import one_line, visible
from pipelines.actions.action import ask, refuse_elsewhere
from pipelines.cli.console import say
from pipelines.cli.options import OTHER_HOME, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.schemas.order import OrderState
    from model.schemas.run_record import RunRecord
    from model.schemas.schema import Schema

commands = typer.Typer(help="The queue of runs, and the runs that ended.", invoke_without_command=True)


@commands.callback()
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="Maximum runs that have ended.", min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List what runs and what is queued, and the latest runs that ended, however they were started."""
    if context.invoked_subcommand:
        return
    from model.schemas.unreadable import unreadable_line
    from pipelines.actions.runs import list_orders, list_runs
    from pipelines.queue.orders import OPEN

    environment = Environment()
    queue, recorded = ask(list_orders, limit=limit), ask(list_runs, limit=limit)
    if as_json:
        listed: dict[str, Sequence[Schema]] = {"orders": queue.orders, "runs": recorded, "unreadable": queue.unreadable}
        print(json.dumps({kind: [each.model_dump(mode="json") for each in states] for kind, states in listed.items()}))
        return
    under_way = [each for each in queue.orders if each.state in OPEN]
    for each in under_way:
        print(visible(order_line(each)))
    on_record = {run.id for run in recorded}
    closed = [each for each in queue.orders if each not in under_way and each.run_id not in on_record]
    ended = [(each.order.time, order_line(each)) for each in closed]
    shown = {each.run_id for each in under_way}
    ended += [(run.started, run_line(run)) for run in recorded if run.id not in shown]
    for _, line in sorted(ended, reverse=True)[:limit]:
        print(visible(line))
    if unread := unreadable_line(queue.unreadable, "order"):
        say(visible(f"{unread} {queue.unreadable[0].hint}"))
    if not environment.server and any(each.state == "queued" for each in under_way) and not queue.working:
        say("Nothing is executed: there is no worker. Start it: glocal runs start")
    if not under_way and not ended:
        say(f"There are no runs yet. Start one: glocal run DIR.\n{OTHER_HOME}")


@commands.command()
def cancel(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the order, or of a run.")], as_json: Json = False
) -> None:
    """Take an order out of the queue, or end a run as Ctrl-C does, however it was started. Who did so is recorded."""
    from pipelines.actions.runs import cancel_order, cancel_run
    from serving.registry.runs import RUN_ID

    if re.fullmatch(RUN_ID, identity):
        run = ask(cancel_run, run_id=identity)
        print(run.model_dump_json() if as_json else visible(run_line(run)))
        return
    state = ask(cancel_order, order_id=identity)
    print(state.model_dump_json() if as_json else visible(order_line(state)))


@commands.command()
def start(as_json: Json = False) -> None:
    """Start the worker, which executes the queue and fires the schedules. What was queued before a reboot is executed."""
    from pipelines.queue.worker import ensure_worker

    refuse_elsewhere(Environment(), "glocal runs start")
    home = Environment().home
    worker = ensure_worker(Environment())
    print(json.dumps({"pid": worker.pid}) if as_json else f"running, process {worker.pid}, log {home.queue.log}")


@commands.command()
def stop(as_json: Json = False) -> None:
    """End the worker, and what it runs as Ctrl-C does. What is queued stays queued."""
    from pipelines.queue.worker import end_worker

    refuse_elsewhere(Environment(), "glocal runs stop")
    home = Environment().home
    stopped = end_worker(home)
    print(json.dumps({"stopped": stopped}) if as_json else "stopped" if stopped else f"was not running in {home.root}")
    if not stopped and not as_json:
        say(OTHER_HOME)


def order_line(state: "OrderState") -> str:
    """An order for people."""
    order = state.order
    place = f"queued, place {state.place}" if state.place else state.state
    ended_by = f"cancelled by {state.cancelled_by}" if state.cancelled_by else ""
    error = f"{state.error.headline}" if state.error else ""
    made_by = f"schedule {order.schedule}" if order.schedule else f"by {order.user}"
    parts = (place, order.id, order.name or order.source, local(order.time), made_by, one_line(order.why), ended_by, error)
    return "  ".join(filter(None, parts))


def run_line(run: "RunRecord") -> str:
    """A run on record for people."""
    figures = [f"{name} {run.metrics[name]:.3f}" for name in ("recall_at_1", "map_at_r") if name in run.metrics]
    version = f"{run.model} {run.model_version}" if run.model_version else ""
    took = f"{(run.ended - run.started).total_seconds():.0f} s" if run.ended else ""
    error = run.failure.headline if run.failure else ""
    parts = (run.state, run.id, run.name, took, *figures, version, f"by {run.user}", one_line(run.why), error)
    return "  ".join(filter(None, parts))


def local(moment: datetime) -> str:
    """A time for people of this machine's time zone."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
