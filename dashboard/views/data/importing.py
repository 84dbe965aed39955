"""Importing a data set from the page."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.security.people import Operator
from dashboard.views.data.listing import show_listing
from model.errors import Conflict, InvalidInput
from pipelines.actions.data import import_mistakes
from pipelines.jobs.data import import_data
from pipelines.jobs.job import begin_job, new_key

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=4096)]


@router.post("/data/import")
def import_(
    request: Request, person: Operator, source: Text = "", name: Text = "", settings: Text = "", key: Text = ""
) -> Response:
    """Import a folder of the server's machine, or an `s3://` address."""
    typed = {"source": source.strip(), "name": name.strip(), "settings": settings.strip()}
    given = (typed["source"], typed["name"], typed["settings"].split())
    mistakes = {field: str(error) for field, error in import_mistakes(*given).items()}
    if not mistakes:
        try:
            asked = import_data.asked(source=given[0], name=given[1], settings=given[2])
            job = begin_job(request.app.state.environment.home, asked, by=person.name, key=key or new_key())
            return RedirectResponse(f"/jobs/{job.id}", 303)
        except (Conflict, InvalidInput) as error:
            mistakes = {"source": str(error)}
    return show_listing(request, person.role, typed=typed, mistakes=mistakes)
