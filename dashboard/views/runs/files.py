"""What a run left: its report as a page, its files, and the ends of its logs."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from dashboard.security.people import Viewer
from dashboard.views.runs.one import known_run
from model.errors import NotFound
from model.schemas.run_record import RunRecord
from model.scratch import scratch_folder
from pipelines.run_folder import REPORT_PAGE, RunFolder

router = APIRouter()
SANDBOX = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""The content security policy of a page that a run made: it has its own styles and images, and no script."""


@router.get("/runs/{run_id}/report")
def report(request: Request, person: Viewer, run_id: str) -> Response:
    """The report, from the run's folder, else the one that MLflow keeps."""
    records, record, lost = known_run(request, run_id)
    folder = RunFolder.of(record, request.app.state.environment.home)
    headers = {"Content-Security-Policy": SANDBOX}
    if folder and any(file.name == REPORT_PAGE for file in folder.files()):
        return FileResponse(folder.root / REPORT_PAGE, media_type="text/html", headers=headers)
    if records is None:
        raise lost.error if lost else NotFound(f"The folder of run {run_id} has no report.")
    with scratch_folder("report") as scratch:
        return HTMLResponse(records.kept_file(run_id, REPORT_PAGE, scratch).read_bytes(), headers=headers)


@router.get("/runs/{run_id}/logs/{step}")
def log(request: Request, person: Viewer, run_id: str, step: str) -> Response:
    """The end of a step's log, as plain text; `run`: that of the whole run."""
    return PlainTextResponse(_folder(request, run_id)[1].log_tail(step))


@router.get("/runs/{run_id}/files/{name:path}")
def file(request: Request, person: Viewer, run_id: str, name: str) -> Response:
    """A file of the run, to be saved."""
    found = _folder(request, run_id)[1].file(name)
    return FileResponse(found, media_type="application/octet-stream", filename=found.name)


def _folder(request: Request, run_id: str) -> tuple[RunRecord, RunFolder]:
    _, record, _ = known_run(request, run_id)
    folder = RunFolder.of(record, request.app.state.environment.home)
    if folder is None:
        raise NotFound("The folder of this run is not on this machine.", f"It was {record.folder or 'not recorded'}.")
    return record, folder
