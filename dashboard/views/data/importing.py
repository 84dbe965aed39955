"""Importing a data set from the page."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.security.people import Operator
from dashboard.views.data.listing import show_listing
from model.errors import Conflict, GlocalError, InvalidInput, NotFound
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
    mistakes = _mistakes(typed)
    if not mistakes:
        try:
            asked = import_data.asked(source=typed["source"], name=typed["name"], settings=typed["settings"].split())
            job = begin_job(request.app.state.environment.home, asked, by=person.name, key=key or new_key())
            return RedirectResponse(f"/jobs/{job.id}", 303)
        except (Conflict, InvalidInput) as error:
            mistakes = {"source": str(error)}
    return show_listing(request, person.role, typed=typed, mistakes=mistakes)


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
