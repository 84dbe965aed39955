"""Health: what runs, since when what does not, and what to do; latency, drift, disk, queue."""

from fastapi import APIRouter, Request, Response

from dashboard.rendering import page
from dashboard.security.people import Viewer

router = APIRouter(include_in_schema=False)


@router.get("/health")
def health(request: Request, person: Viewer) -> Response:
    """The state of everything that the dashboard stands on."""
    return page(request, "health.html", part="health")
