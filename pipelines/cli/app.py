"""All commands together, and the function behind `glocal`."""

import json
import logging
import os
import sys
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from model.errors import InvalidInput
from pipelines.cli import (
    corrections,
    data,
    diff,
    gallery,
    gc,
    jobs,
    key,
    lineage,
    models,
    promote,
    query,
    reproduce,
    run,
    runs,
    schedule,
    serve,
)
from pipelines.cli.failures import STOPPED, show_error
from pipelines.cli.options import Json

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command("run")(run.run)
app.command("query")(query.query)
app.command("promote")(promote.promote)
app.command("rollback")(promote.rollback)
app.command("sign")(promote.sign)
app.command("approve")(promote.approve)
app.command("refuse")(promote.refuse)
app.command("models")(models.models)
app.command("history")(models.history)
app.command("lineage")(lineage.lineage)
app.command("diff")(diff.diff)
app.command("reproduce")(reproduce.reproduce)
app.command("gc")(gc.gc)
app.add_typer(data.commands, name="data")
app.add_typer(gallery.commands, name="gallery")
app.add_typer(corrections.commands, name="corrections")
app.add_typer(jobs.commands, name="jobs")
app.add_typer(runs.commands, name="runs")
app.add_typer(schedule.commands, name="schedule")
app.add_typer(serve.commands, name="serve")
app.add_typer(key.commands, name="key")


class Pipeline(StrEnum):
    """The pipelines."""

    TRAINING = "training"
    ENROLMENT = "enrolment"
    REMOVAL = "removal"
    PROMOTION = "promotion"
    REPRODUCTION = "reproduction"


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        code = app(standalone_mode=False)  # typer returns the exit code of Ctrl-C and of --version
        code = show_error(KeyboardInterrupt()) if code == STOPPED else code
    except BaseException as error:  # SystemExit as well
        code = show_error(error)
    sys.exit(code)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"glocal {metadata.version('glocal')}")
        raise typer.Exit


_ELSEWHERE = {
    "approve",
    "corrections",
    "data",
    "diff",
    "gallery",
    "history",
    "jobs",
    "lineage",
    "models",
    "promote",
    "refuse",
    "rollback",
    "run",
    "runs",
    "schedule",
    "serve",
}
"""Commands that a dashboard elsewhere may be asked for."""


@app.callback()
def options(
    context: typer.Context,
    server: Annotated[
        str,
        typer.Option(help="Address of a dashboard that is asked in place of this machine, with the key in GLOCAL_KEY."),
    ] = "",
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Train, gate, register, promote and serve image retrieval models."""
    if server:
        os.environ["GLOCAL_SERVER"] = server
    if (named := os.environ.get("GLOCAL_SERVER")) and context.invoked_subcommand not in {*_ELSEWHERE, None}:
        raise InvalidInput(
            f"glocal {context.invoked_subcommand} works on the machine of the home alone, not by {named[:100]}.",
            f"Run it there, without --server and GLOCAL_SERVER. What a dashboard can be asked: {', '.join(sorted(_ELSEWHERE))}.",
        )


@app.command("dashboard", context_settings={"ignore_unknown_options": True})
def dashboard(
    words: Annotated[list[str] | None, typer.Argument(help="start, stop, link; nothing: serve until Ctrl-C.")] = None,
) -> None:
    """Serve the dashboard: start and watch runs, promote models, try the endpoint."""
    os.execv(sys.executable, [sys.executable, "-m", "dashboard", *(words or [])])  # noqa: S606  # the dashboard stands above the pipelines: it is not imported here


@app.command("compile")
def compile_(
    out: Annotated[Path, typer.Option(help="The file to write: .yaml or .yml.")],
    pipeline: Annotated[Pipeline, typer.Option(help="The pipeline.")] = Pipeline.TRAINING,
    upload: Annotated[bool, typer.Option("--upload", help="Make it a version of the pipeline in Kubeflow.")] = False,
    as_json: Json = False,
) -> None:
    """Compile a pipeline to a YAML file, for Kubeflow Pipelines."""
    if out.suffix.lower() not in {".yaml", ".yml"}:
        raise InvalidInput(
            f"{out} would not be a YAML file.",
            "Name it .yaml or .yml: KFP keeps two documents in it, the pipeline and what it asks of a cluster; JSON holds one.",
        )
    from pipelines.compiled import compile_pipeline

    written = compile_pipeline(out, pipeline)
    result = {"pipeline": str(written)}
    if upload:
        from model.cluster import Kubeflow
        from pipelines.kubeflow.connection import Connection
        from pipelines.kubeflow.versions import upload as upload_version

        version = upload_version(Connection(Kubeflow()), written, pipeline.value)
        result |= {"kubeflow_pipeline": version.pipeline, "kubeflow_version": version.name}
    print(json.dumps(result) if as_json else "  ".join(result.values()))
