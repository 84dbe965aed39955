"""`glocal jobs`: what the dashboard does for people in processes of its own, such as promotions, imports and enrolments."""

from typing import TYPE_CHECKING, Annotated

import typer

from model.text import one_line, visible
from pipelines.actions.action import ask
from pipelines.cli.console import Console, say, show_all
from pipelines.cli.options import Json
from pipelines.cli.runs import local

if TYPE_CHECKING:
    from pipelines.jobs.status import JobStatus

commands = typer.Typer(
    help="What was asked for on the dashboard or through its API, and takes long.", invoke_without_command=True
)
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]


@commands.callback()
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="Maximum jobs.", min=1, max=100)] = 20,
    as_json: Json = False,
) -> None:
    """List the latest jobs, newest first."""
    if context.invoked_subcommand:
        return
    from pipelines.actions.jobs import list_jobs

    found = ask(list_jobs, limit=limit)
    if as_json:
        print(found.model_dump_json())
        return
    show_all(found.jobs, _line, "There are no jobs. The dashboard makes them: glocal dashboard", as_json=False)
    for each in found.unreadable:
        say(visible(f"{each.why} {each.hint}"))


@commands.command()
def show(
    identity: Id,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    as_json: Json = False,
) -> None:
    """Show a job; exit code 1 if it failed or was killed."""
    from pipelines.actions.jobs import show_job
    from pipelines.jobs.following import follow

    found = follow(lambda: ask(show_job, job_id=identity), Console()) if wait else ask(show_job, job_id=identity)
    print(found.model_dump_json() if as_json else visible(_line(found)))
    if found.ended and not as_json:
        for line in filter(None, [found.ended.hint, *found.ended.details]):
            say(visible(f"  {line}"))
    if found.state in {"failed", "killed"}:
        raise typer.Exit(1)


@commands.command()
def end(identity: Id, as_json: Json = False) -> None:
    """End a job before it is done, where that leaves nothing half done."""
    from pipelines.actions.jobs import end_job

    found = ask(end_job, job_id=identity)
    print(found.model_dump_json() if as_json else visible(_line(found)))


def _line(job: "JobStatus") -> str:
    """A job for people."""
    said = job.ended.headline if job.ended else job.note
    parts = (job.state, job.id, job.doing, local(job.at), f"by {job.by}", one_line(job.why), one_line(said))
    return "  ".join(filter(None, parts))
