"""The report of a version, as it was registered."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from dashboard.security.people import Viewer
from model.scratch import scratch_folder

router = APIRouter(include_in_schema=False)
_FILE = "report/report.html"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox allow-popups"
"""Content security policy of a report: a page of its own with its style in it, no script, and nothing of this dashboard's."""


@router.get("/models/{name}/{version}/report")
def report(request: Request, person: Viewer, name: str, version: str) -> Response:
    """The report that people approve: the file that is kept with the version."""
    from serving.registry.models import Registry

    registry = Registry(request.app.state.environment.mlflow_uri, name)
    with scratch_folder("report") as scratch:
        content = registry.files.document(version, _FILE, scratch).read_bytes()
    return HTMLResponse(content, headers={"Content-Security-Policy": _POLICY})
