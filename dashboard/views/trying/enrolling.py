"""Enrolling a new object from a few images."""

import csv
import hashlib
import io
import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from dashboard.views.trying.asking import Form, SentImage, sent_images
from dashboard.views.trying.served import Served, choose_served, served_models
from model.data.headers import read_header
from model.data.manifest import MANIFEST
from model.errors import GlocalError, InvalidInput, TooLarge, Unavailable
from model.home import Home
from pipelines.jobs.enrolment import enrol
from pipelines.jobs.job import begin_job, latest_jobs, new_key
from serving.corrections import check_label
from serving.limits import IMAGE_LIMITS

MAX_IMAGES = 50
"""Images of an enrolment."""
_WHY = "enrolled on the dashboard"
router = APIRouter()


@router.get("/try/enrol")
def enrol_page(request: Request, person: Viewer, model: str = "", label: str = "") -> Response:
    """The form, and the latest enrolments."""
    return _page(request, model, label=label)


@router.post("/try/enrol")
def begin_enrolment(request: Request, person: Operator, form: Form) -> Response:
    """Begin to add images of an object to the gallery of a served model."""
    home: Home = request.app.state.environment.home
    model, label, why = (str(form.get(name, "")).strip() for name in ("model", "label", "why"))
    try:
        served = choose_served(home, model)
        label = check_label(label)
        files = _files(sent_images(home, served, form), label)
        asked = enrol.asked(model=served.model, label=label, data=_data_name(label))
        key = str(form.get("key", ""))
        job = begin_job(home, asked, by=person.name, why=why[:500] or _WHY, key=key, files=files)
    except GlocalError as error:
        return _page(request, model, label=label, why=why, error=error)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _files(images: list[SentImage], label: str) -> dict[str, bytes]:
    """The images and their table as files, by name.

    Raises:
        InvalidInput: There are none, or one is no image; the message names it.
    """
    if not images:
        raise InvalidInput("No image was chosen.", "Choose a few images of the object, from several sides.")
    if len(images) > MAX_IMAGES:
        raise TooLarge(f"{len(images)} images are too many.", f"At most {MAX_IMAGES} are enrolled at a time.")
    files, table = {}, io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "label"])
    for number, image in enumerate(images, 1):
        try:
            form = read_header(image.data, IMAGE_LIMITS).format.lower()
        except InvalidInput as error:
            raise InvalidInput(f"{image.name}: {error.headline}", error.hint) from error
        files[f"{number:02}.{form}"] = image.data
        writer.writerow([f"{number:02}.{form}", label])
    return {**files, MANIFEST: table.getvalue().encode()}


def _data_name(label: str) -> str:
    """Name of the data set that the images of a label become; enrolling more of them makes its next version."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-")[:40]
    mark = "" if plain == label else f"-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return f"enrolled-{plain}{mark}" if plain else f"enrolled{mark}"


def _page(request: Request, model: str, *, label: str = "", why: str = "", error: GlocalError | None = None) -> Response:
    home: Home = request.app.state.environment.home
    try:
        served: Served = choose_served(home, model)
    except Unavailable as nothing:
        return page(request, "try/nothing.html", part="try", error=nothing)
    return page(
        request,
        "try/enrol.html",
        part="try",
        status=error.http_status if error else 200,
        served=served,
        models=served_models(home),
        label=label,
        why=why,
        error=error,
        most=MAX_IMAGES,
        key=new_key(),
        latest=latest_jobs(home, enrol, most=10),
    )
