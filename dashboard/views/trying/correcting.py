"""Corrections: kept from an answer that was wrong, looked at, accepted into a data set, or dropped."""

import re
from collections import defaultdict
from hashlib import sha256
from math import isfinite

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.forms import Form
from dashboard.images import FileImage, answer_small
from dashboard.rendering import page
from dashboard.security.people import Operator, Person, Viewer
from dashboard.views.trying.asking import sent_images
from dashboard.views.trying.served import choose_served
from dashboard.views.trying.tokens import Tokens
from model.data.manifest import Box
from model.errors import GlocalError, InvalidInput
from model.home import Home
from model.schemas.correction import Correction
from pipelines.jobs.enrolment import revise
from pipelines.jobs.job import begin_job, new_key, read_jobs
from serving.corrections import (
    MAX_CORRECTIONS,
    Corrected,
    check_label,
    correction_image,
    data_of,
    drop_correction,
    find_correction,
    keep_corrections,
    read_corrections,
)
from serving.operations import OPERATIONS

router = APIRouter()
_LATEST = 10
"""Jobs that are looked at for those that are under way."""


@router.get("/try/corrections")
def list_corrections(request: Request, person: Viewer, kept: str = "") -> Response:
    """The corrections by data set; `kept` is the one that was just made."""
    return _page(request, kept=kept)


@router.post("/try/corrections")
def correct(request: Request, person: Viewer, form: Form) -> Response:
    """Keep the images of an answer with their right labels: one each, and of a detection where the object is."""
    labels, tokens, examples = (_texts(form, name) for name in ("label", "token", "example"))
    box = str(form.get("box", "")).strip() or str(form.get("place", "")).strip()
    try:
        made = _kept(request, person, form, labels, tokens, box)
    except GlocalError as error:
        shown = {"labels": labels, "tokens": tokens, "examples": examples, "box": box if "place" in form else None}
        return page(request, "try/correct.html", part="try", status=error.http_status, error=error, **shown)
    return RedirectResponse(f"/try/corrections?kept={made[0].id}", 303)


@router.get("/try/corrections/{correction_id}/image")
def image(request: Request, person: Viewer, correction_id: str, side: int = 320) -> Response:
    """The small image of a correction."""
    home = _home(request)
    found = find_correction(home, correction_id)
    return answer_small(FileImage.of(correction_image(home, found), found.box), side)


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
        asked = revise.asked(data=data_of(chosen), corrections=ids)
        job = begin_job(home, asked, by=person.name, key=str(form.get("key", "")))
    except GlocalError as error:
        return _page(request, error=error, chosen=ids)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _kept(request: Request, person: Person, form: Form, labels: list[str], tokens: list[str], box: str) -> list[Correction]:
    """The corrections of a form.

    Raises:
        GlocalError: Something in it is wrong; nothing is kept.
    """
    home, signer = _home(request), Tokens(request.app.state.sessions.key)
    asked = [signer.read(each) for each in tokens or [""]]
    for label in labels or [""]:
        check_label(label)  # before the images, so that the field that is wrong is named
    place = _box(box) if box or asked[0].operation == "detect" else None
    images = sent_images(home, choose_served(home, asked[0].model), form)
    if not len(images) == len(labels) == len(asked) == OPERATIONS[asked[0].operation].images:
        raise InvalidInput("The image that was asked about is missing.", "Choose it again: it was not stored.")
    by_hash = {sha256(image.data).hexdigest(): image for image in images}
    chosen = [by_hash.get(each.sha256, image) for each, image in zip(asked, images, strict=True)]
    corrected = [
        Corrected(image.data, label, image.name, each, place) for image, label, each in zip(chosen, labels, asked, strict=True)
    ]
    return keep_corrections(home, corrected, by=person.name)


def _box(text: str) -> Box:
    """A box that was chosen or typed: four numbers.

    Raises:
        InvalidInput: It is none.
    """
    try:
        left, top, right, bottom = (float(each) for each in re.split(r"[\s,]+", text))
        if all(map(isfinite, (left, top, right, bottom))):
            return left, top, right, bottom
    except ValueError:
        pass
    raise InvalidInput("It is not said where the object is.", "Choose a box, or type left, top, right and bottom in pixels.")


def _texts(form: Form, name: str) -> list[str]:
    return [each for each in form.getlist(name) if isinstance(each, str) and (each or name != "example")]


def _page(request: Request, *, kept: str = "", error: GlocalError | None = None, chosen: list[str] | None = None) -> Response:
    home = _home(request)
    by_data: defaultdict[str, list[Correction]] = defaultdict(list)
    accepted = []
    (known, unreadable), (jobs, damaged) = read_corrections(home), read_jobs(home, revise, most=_LATEST)
    for each in known:
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
        unreadable=unreadable,
        kept=kept,
        error=error,
        chosen=chosen or [],
        most=MAX_CORRECTIONS,
        new_key=new_key,
        work=[each for each in jobs if each.runs],
        damaged=damaged,
    )


def _home(request: Request) -> Home:
    home: Home = request.app.state.environment.home
    return home
