"""Importing a data set from the page, and the pages of jobs on data."""

import secrets
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.jobs.job import Job, find_job, start_job
from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from dashboard.views.data.listing import show_listing
from model.errors import Conflict, GlocalError, InvalidInput, NotFound

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=4096)]
_TITLES = {"import": "Import", "diff": "Comparison", "look-alikes": "Look-alikes"}


@router.post("/data/import")
def import_(
    request: Request, person: Operator, source: Text = "", name: Text = "", settings: Text = "", key: Text = ""
) -> Response:
    """Import a folder of the server's machine, or an `s3://` address."""
    typed = {"source": source.strip(), "name": name.strip(), "settings": settings.strip()}
    mistakes = _mistakes(typed)
    if not mistakes:
        try:
            job = start_job(
                request.app.state.environment, "import", typed, by=person.name, job_id=f"import-{key or secrets.token_hex(8)}"
            )
            return RedirectResponse(f"/jobs/{job.id}", 303)
        except (Conflict, InvalidInput) as error:
            mistakes = {"source": str(error)}
    return show_listing(request, person.role, typed=typed, mistakes=mistakes)


@router.get("/jobs/{job_id}")
def job_page(request: Request, person: Viewer, job_id: str) -> Response:
    """A job: how far it is, what it found, or why it failed."""
    job = find_job(request.app.state.environment.home.dashboard, job_id)
    asked = job.asked
    title = _TITLES[asked.kind]
    return page(request, "data/job.html", part="data", job=job, asked=asked, title=title, address=result_address(job))


@router.get("/jobs/{job_id}/state")
def job_state(request: Request, person: Viewer, job_id: str) -> Response:
    """The part of a job's page that changes."""
    job = find_job(request.app.state.environment.home.dashboard, job_id)
    return page(request, "data/job_state.html", part="data", job=job, asked=job.asked, address=result_address(job))


@router.post("/jobs/{job_id}/end")
def end_job(request: Request, person: Operator, job_id: str) -> Response:
    """End a job. An import that is ended changes nothing."""
    job = find_job(request.app.state.environment.home.dashboard, job_id)
    job.end()
    return RedirectResponse(f"/jobs/{job.id}", 303)


def result_address(job: Job) -> str:
    """The page that shows what a job found; empty before."""
    if job.state != "done":
        return ""
    asked = job.asked
    if asked.kind == "import":
        pin = job.result["pin"]
        return f"/data/{pin['path']}@{pin['rev'][:12]}"
    if asked.kind == "diff":
        return f"/data/{asked.arguments['before']}/diff?with={asked.arguments['after']}"
    by = f"{asked.arguments['model']}:{asked.arguments['version']}"
    return f"/data/{asked.arguments['data']}/look-alikes?by={by}"


def _mistakes(typed: dict[str, str]) -> dict[str, str]:
    """What is wrong with the form, by field."""
    from model.config import load_config
    from model.data.importing.dataset_name import default_name
    from model.data.importing.object_store import SCHEMES, split_address
    from model.data.versions.pin import check_name

    found = {}
    source = typed["source"]
    try:
        if source.startswith(SCHEMES):
            split_address(source)
        elif not Path(source).is_absolute():
            raise InvalidInput(
                "Give a folder or a CSV of the machine on which the dashboard runs, from / on, or s3://bucket/prefix."
            )
        elif not Path(source).exists():
            raise NotFound(f"There is no {source[:200]} on the machine on which the dashboard runs.")
    except (GlocalError, OSError, ValueError) as error:
        found["source"] = str(error)
    try:
        if typed["name"] or not found:
            check_name(typed["name"] or default_name(source))
    except GlocalError as error:
        found["name" if typed["name"] else "source"] = str(error)
    try:
        lines = typed["settings"].split()
        if other := [line for line in lines if not line.startswith("data.")]:
            raise InvalidInput(f"{other[0][:100]!r} is no setting of an import.", "Give one a line, such as data.split=manifest.")
        load_config(None, lines)
    except GlocalError as error:
        found["settings"] = str(error)
    return found
