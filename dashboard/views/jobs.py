"""The pages of jobs: how far one is, what became of it, and the pages that show what it made."""

from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from pipelines.jobs.data import DATA, compare_data, import_data
from pipelines.jobs.enrolment import ENROLMENT, revise
from pipelines.jobs.job import Job, find_job
from pipelines.jobs.serving import SERVING, challenge, stop_challenge

router = APIRouter(include_in_schema=False)
_PARTS = {SERVING.name: "models", ENROLMENT.name: "try", DATA.name: "data"}
"""The part of the dashboard in which a job was asked for, by its group."""


@router.get("/jobs/{job_id}")
def job_page(request: Request, person: Viewer, job_id: str) -> Response:
    """A job: how far it is, what it found or made, or why it failed."""
    job = find_job(request.app.state.environment.home, job_id)
    return page(request, "jobs/job.html", part=_PARTS[job.kind.group.name], job=job, links=_links(job))


@router.post("/jobs/{job_id}/end")
def end_job(request: Request, person: Operator, job_id: str) -> Response:
    """End a job before it is done, where that leaves nothing half done."""
    job = find_job(request.app.state.environment.home, job_id)
    job.end()
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _links(job: Job) -> list[tuple[str, str]]:
    """Title and address of the pages on what a job has made, and on what it is about; the most wanted first."""
    if job.kind.group == SERVING:
        return _of_serving(job)
    if job.state == "awaiting":
        return [("Models", "/models"), ("Its run", f"/runs/{job.result['run_id']}")]
    if job.state != "succeeded":
        return []
    return _of_enrolment(job) if job.kind.group == ENROLMENT else [("Show it", _of_data(job))]


def _of_serving(job: Job) -> list[tuple[str, str]]:
    name, version = job.record.arguments["model"], job.record.arguments.get("version")
    model = f"/models/{quote(name, safe='')}"
    last = (
        ("The trial", f"{model}/trial")
        if job.kind in (challenge, stop_challenge)
        else ("History", f"/history?{urlencode({'model': name})}")
    )
    return [*([(f"Version {version}", f"{model}/{version}")] if version else []), (name, model), last]


def _of_enrolment(job: Job) -> list[tuple[str, str]]:
    made, asked = job.result, job.record.arguments
    if job.kind == revise:
        return [(f"Look at {made['pin']['path']}", f"/data/{made['pin']['path']}")]
    found = f"/try?{urlencode({'model': asked['model'], 'label': asked['label']})}"
    return [("Find it", found), *([("Its run", f"/runs/{made['run_id']}")] if made["run_id"] else [])]


def _of_data(job: Job) -> str:
    asked = job.record.arguments
    if job.kind == import_data:
        pin = job.result["pin"]
        return f"/data/{pin['path']}@{pin['rev'][:12]}"
    if job.kind == compare_data:
        return f"/data/{asked['before']}/diff?{urlencode({'with': asked['after']})}"
    return f"/data/{asked['data']}/look-alikes?{urlencode({'by': asked['model'] + ':' + asked['version']})}"
