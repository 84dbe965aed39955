"""`glocal schedule`: recurring runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.text import one_line, visible
from pipelines.actions.action import ask
from pipelines.cli.console import say
from pipelines.cli.options import Json, Runner, Settings
from pipelines.cli.run import SOURCE
from pipelines.cli.runs import local

if TYPE_CHECKING:
    from model.schemas.schedule import ScheduleState

commands = typer.Typer(help="Recurring runs.", no_args_is_help=True)
Identity = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule.")]


@commands.command()
def add(
    identity: Identity,
    directory: Annotated[str, typer.Argument(metavar="DIR", help=SOURCE)],
    crontab: Annotated[
        str, typer.Option(help="When: minute, hour, day, month, weekday, as in '0 3 * * mon', in local time; on Kubeflow in UTC.")
    ],
    name: Annotated[str, typer.Option(help="Name of the data set; default: the folder's name.")] = "",
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    set_: Settings = None,
    why: Annotated[str, typer.Option(help="The reason, recorded with every run.")] = "a scheduled run",
    runner: Runner = None,
    as_json: Json = False,
) -> None:
    """Add a recurring run, in your name. The queue's worker is started if it does not run; on Kubeflow its own clock counts."""
    from model.config import read_settings
    from pipelines.actions.runs import add_schedule

    given: dict[str, Any] = {
        "source": directory,
        "data": name,
        "settings": read_settings(config, set_ or ()),
        "why": why,
        "runner": runner or "",
    }
    _show(ask(add_schedule, name=identity, crontab=crontab, **given), as_json)


@commands.command("list")
def list_(runner: Runner = None, as_json: Json = False) -> None:
    """List the schedules, with their last and their next time; of Kubeflow's clock those that it keeps."""
    from model.schemas.unreadable import unreadable_line
    from pipelines.actions.runs import list_schedules

    found = ask(list_schedules, runner=runner or "")
    if as_json:
        print(found.model_dump_json())
        return
    if unread := unreadable_line(found.unreadable, "schedule"):
        say(visible(f"{unread} {found.unreadable[0].hint}"))
    for each in found.schedules:
        _show(each, as_json)
    if not found.schedules:
        say("There is no schedule. Add one: glocal schedule add NAME DIR --crontab '0 3 * * mon'")


@commands.command()
def pause(
    identity: Identity,
    off: Annotated[bool, typer.Option("--off", help="Let it order again.")] = False,
    runner: Runner = None,
    as_json: Json = False,
) -> None:
    """Let a schedule order nothing, until --off."""
    from pipelines.actions.runs import pause_schedule

    _show(ask(pause_schedule, name=identity, paused=not off, runner=runner or ""), as_json)


@commands.command()
def remove(identity: Identity, runner: Runner = None, as_json: Json = False) -> None:
    """Remove a schedule; its runs stay."""
    from pipelines.actions.runs import remove_schedule

    ask(remove_schedule, name=identity, runner=runner or "")
    print(json.dumps({"removed": identity}) if as_json else f"removed {identity}")


def _show(state: "ScheduleState", as_json: bool) -> None:
    if as_json:
        print(state.model_dump_json())
        return
    schedule = state.schedule
    following = f"next {local(state.next)}" if state.next else "paused" if schedule.paused else "never"
    last = f"last {local(state.last.order.time)} {state.last.state}" if state.last else ""
    source = schedule.name or schedule.source
    parts = (schedule.id, schedule.crontab, source, following, last, f"by {schedule.user}", one_line(schedule.why))
    print(visible("  ".join(filter(None, parts))))
