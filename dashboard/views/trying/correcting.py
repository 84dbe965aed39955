"""Corrections: kept from an answer that was wrong, looked at, accepted into a data set, or dropped."""

from collections import defaultdict

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.images import FileImage, answer_small
from dashboard.rendering import page
from dashboard.security.people import Operator, Viewer
from dashboard.views.trying.asking import Form, sent_images
from dashboard.views.trying.served import choose_served
from dashboard.views.trying.tokens import Tokens
from model.errors import GlocalError, InvalidInput
from model.home import Home
from model.schemas.correction import Correction
from pipelines.jobs.enrolment import revise
from pipelines.jobs.job import begin_job, latest_jobs, new_key
from serving.corrections import (
    MAX_CORRECTIONS,
    check_label,
    correction_image,
    corrections,
    drop_correction,
    find_correction,
    keep_correction,
)

router = APIRouter()
_LATEST = 10
"""Jobs that are looked at for those that are under way."""


@router.get("/try/corrections")
def list_corrections(request: Request, person: Viewer, kept: str = "") -> Response:
    """The corrections by data set; `kept` is the one that was just made."""
    return _page(request, kept=kept)


@router.post("/try/corrections")
def correct(request: Request, person: Viewer, form: Form) -> Response:
    """Keep the image of an answer with its right label."""
    home = _home(request)
    label, token = str(form.get("label", "")), str(form.get("token", ""))
    try:
        asked = Tokens(request.app.state.sessions.key).read(token)
        check_label(label)  # before the image, so that the field that is wrong is named
        images = sent_images(home, choose_served(home, asked.model), form)
        if len(images) != 1:
            raise InvalidInput("The image that was asked about is missing.", "Choose it again: it was not stored.")
        made = keep_correction(home, images[0].data, label=label, name=images[0].name, by=person.name, asked=asked)
    except GlocalError as error:
        return page(
            request,
            "try/correct.html",
            part="try",
            status=error.http_status,
            error=error,
            label=label,
            token=token,
            example=str(form.get("example", "")),
        )
    return RedirectResponse(f"/try/corrections?kept={made.id}", 303)


@router.get("/try/corrections/{correction_id}/image")
def image(request: Request, person: Viewer, correction_id: str, side: int = 320) -> Response:
    """The small image of a correction."""
    home = _home(request)
    return answer_small(FileImage.of(correction_image(home, find_correction(home, correction_id))), side)


@router.post("/try/corrections/change")
def change(request: Request, person: Operator, form: Form) -> Response:
    """Accept the corrections that were chosen into their data set, or drop them."""
    home = _home(request)
    ids = [each for each in form.getlist("id") if isinstance(each, str)]
    try:
        chosen = [find_correction(home, each) for each in ids]
        if not chosen:
            raise InvalidInput("No correction is chosen.", "Choose the ones that are meant.")
        if form.get("do") == "drop":
            for each in chosen:
                drop_correction(home, each.id)
            return RedirectResponse("/try/corrections", 303)
        asked = revise.asked(data=_data_of(chosen), corrections=ids)
        job = begin_job(home, asked, by=person.name, key=str(form.get("key", "")))
    except GlocalError as error:
        return _page(request, error=error, chosen=ids)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _data_of(chosen: list[Correction]) -> str:
    """Name of the data set of some corrections that may be accepted.

    Raises:
        InvalidInput: They are of several data sets, or one is accepted already.
    """
    names = sorted({each.data for each in chosen})
    if len(names) > 1:
        raise InvalidInput(f"These corrections are of {' and '.join(names)}.", "Accept those of one data set at a time.")
    if any(each.accepted for each in chosen):
        raise InvalidInput("One of these corrections is accepted already.", "Load the page again.")
    return names[0]


def _page(request: Request, *, kept: str = "", error: GlocalError | None = None, chosen: list[str] | None = None) -> Response:
    home = _home(request)
    by_data: defaultdict[str, list[Correction]] = defaultdict(list)
    accepted = []
    for each in corrections(home):
        if each.accepted:
            accepted.append(each)
        else:
            by_data[each.data].append(each)
    return page(
        request,
        "try/corrections.html",
        part="try",
        status=error.http_status if error else 200,
        by_data=dict(sorted(by_data.items())),
        accepted=accepted,
        kept=kept,
        error=error,
        chosen=chosen or [],
        most=MAX_CORRECTIONS,
        new_key=new_key,
        work=[each for each in latest_jobs(home, revise, most=_LATEST) if each.runs],
    )


def _home(request: Request) -> Home:
    home: Home = request.app.state.environment.home
    return home
