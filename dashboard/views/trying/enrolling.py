"""Enrolling a new object from a few images, and how far an errand of this part has come."""

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
from model.text import counted
from pipelines.errands.state import begin_errand, errand_progress, errands, new_id
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
def enrol(request: Request, person: Operator, form: Form) -> Response:
    """Begin to add images of an object to the gallery of a served model."""
    home: Home = request.app.state.environment.home
    model, label, why = (str(form.get(name, "")).strip() for name in ("model", "label", "why"))
    try:
        served = choose_served(home, model)
        label = check_label(label)
        files = _files(sent_images(home, served, form), label)
        title = f"{label}: {counted(len(files) - 1, 'image')} into {served.model}"
        digest = hashlib.sha256(b"".join(files.values())).hexdigest()  # so that other images are another errand
        named = {"model": served.model, "label": label, "data": _data_name(label)}
        arguments = {**named, "why": why[:500] or _WHY, "images": digest}
        key = str(form.get("key", ""))
        errand = begin_errand(home, "enrol", title, arguments, by=person.name, images=files, errand_id=key)
    except GlocalError as error:
        return _page(request, model, label=label, why=why, error=error)
    return RedirectResponse(f"/try/work/{errand.id}", 303)


@router.get("/try/work/{errand_id}")
def work(request: Request, person: Viewer, errand_id: str) -> Response:
    """How far an errand has come; for the page's script its state alone."""
    progress = errand_progress(request.app.state.environment.home, errand_id)
    template = "try/progress.html" if "x-fragment" in request.headers else "try/work.html"
    return page(request, template, part="try", work=progress)


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
        key=new_id(),
        latest=errands(home, "enrol")[:10],
    )
