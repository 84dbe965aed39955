"""Enrolling a new object from a few images."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.forms import Form
from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from dashboard.views.trying.asking import sent_images
from dashboard.views.trying.served import Served, choose_served, served_models
from model.errors import GlocalError, TooLarge, Unavailable
from model.home import Home
from model.schemas.sent_file import MOST, SentFile
from pipelines.enrolled_images import enrolment_mistakes
from pipelines.jobs.enrolment import enrol
from pipelines.jobs.job import begin_job, new_key, read_jobs

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
        sent = sent_images(home, served, form)
        if mistakes := enrolment_mistakes([(each.name, each.data) for each in sent], label):
            return _page(request, model, label=label, why=why, mistakes=mistakes)
        images = tuple(SentFile.of(each.name, each.data) for each in sent)
        asked = enrol.asked(model=served.model, label=label, images=images, why=why[:500] or _WHY)
        job = begin_job(home, asked, by=person.name, key=str(form.get("key", "")))
    except TooLarge as error:
        return _page(request, model, label=label, why=why, mistakes={"images": error})
    except GlocalError as error:
        return _page(request, model, label=label, why=why, error=error)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _page(
    request: Request,
    model: str,
    *,
    label: str = "",
    why: str = "",
    mistakes: Mapping[str, GlocalError] | None = None,
    error: GlocalError | None = None,
) -> Response:
    """The form; `mistakes`: what is wrong by field, `error`: what is wrong beside that."""
    home: Home = request.app.state.environment.home
    try:
        served: Served = choose_served(home, model)
    except Unavailable as nothing:
        return page(request, "try/nothing.html", part="try", error=nothing)
    latest, damaged = read_jobs(home, enrol, most=10)
    return page(
        request,
        "try/enrol.html",
        part="try",
        status=next((each.http_status for each in (error, *(mistakes or {}).values()) if each), 200),
        served=served,
        models=served_models(home),
        label=label,
        why=why,
        mistakes={field: str(each) for field, each in (mistakes or {}).items()},
        error=error,
        most=MOST,
        key=new_key(),
        latest=latest,
        damaged=damaged,
    )
