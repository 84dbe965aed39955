"""Asking: an image and an operation, and the answer drawn. Nothing of an image is stored."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile

from dashboard.forms import Form
from dashboard.images import FileImage, answer_small, chosen_image
from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.trying.answers import Item, pair, shown_neighbours
from dashboard.views.trying.options import fields, operations, options_of
from dashboard.views.trying.served import Served, choose_served, examples, placed, served_models
from dashboard.views.trying.snippets import curl, python
from dashboard.views.trying.tokens import Tokens
from model.data.decoding.refusals import ImageRefused
from model.data.sent import small_sent
from model.data.thumbnails import Thumbnail
from model.errors import GlocalError, InvalidInput, NotFound, TooLarge, Unavailable
from model.home import Home
from model.text import visible
from serving.client import Client
from serving.limits import IMAGE_LIMITS, MAX_BYTES
from serving.local import local_client
from serving.operations import OPERATIONS, Operation
from serving.operations.query import make_query
from serving.operations.search import SearchAnswer
from serving.operations.verify import VerifyAnswer
from serving.released_data import place_of

MAX_IMAGES = 8
"""Images of one question."""
_LOOK_S = 2.0
"""Seconds to wait for the endpoint to say that it serves."""
_SHOWN_SIDE = 1280
_CROP_SIDE = 4096
router = APIRouter()


@dataclass(frozen=True)
class SentImage:
    """An image that somebody sent, or chose among the examples.

    Attributes:
        name: Name of its file.
        data: Its bytes.
        index: Its number among those that were sent.
        example: Id of the sample, if it is an example.
    """

    name: str
    data: bytes
    index: int = 0
    example: str = ""


@router.get("/try")
def try_page(request: Request, person: Viewer, model: str = "", operation: str = "search", label: str = "") -> Response:
    """The form; `label` chooses examples of one label."""
    return _page(request, model, operation if operation in OPERATIONS else "search", label=label)


@router.post("/try")
def ask(request: Request, person: Viewer, form: Form) -> Response:
    """The form with the answers below it; for the page's script the answers alone."""
    given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    model, name = given.get("model", ""), given.get("operation", "search")
    fragment = "x-fragment" in request.headers
    try:
        if name not in OPERATIONS:
            raise NotFound(f"There is no operation {name[:50]!r}.", f"Operations: {', '.join(OPERATIONS)}.")
        home: Home = request.app.state.environment.home
        served = choose_served(home, model)
        options = _checked(OPERATIONS[name], options_of(OPERATIONS[name], served, given))
        questions = _questions(OPERATIONS[name], sent_images(home, served, form))
        items, snippets = [_looked_at(each) for each in questions], ["", ""]
        if any(item.error is None for item in items):
            with local_client(home.serve) as client:
                pairs = zip(questions, items, strict=True)
                items = [_asked(client, name, each, item, options, served, request) for each, item in pairs]
                snippets = [make(client.address, served.model, name, options, items[0].names) for make in (curl, python)]
    except GlocalError as error:
        shown = {"items": [], "error": error}
        status = error.http_status
    else:
        shown = {"items": items, "error": None, "curl": snippets[0], "python": snippets[1], "served": served}
        errors = [each.error for each in items if each.error]
        status = errors[0].http_status if len(errors) == len(items) else 200
    if fragment:
        return page(request, "try/answer.html", part="try", status=status, operation=name, **shown)
    return _page(request, model, name, given=given, status=status, answer=shown)


@router.get("/try/images/{model}/{version}/{release}")
def gallery_image(request: Request, person: Viewer, model: str, version: str, release: str, id: str, side: int = 320) -> Response:
    """A small image of an entry of a release."""
    place = placed(request.app.state.environment.home, model, version, release, id)
    return answer_small(FileImage.of(place.file, place.box), side)


@router.get("/try/labels")
def labels(request: Request, person: Viewer, model: str, typed: str = "", kind: str = "labels") -> list[str]:
    """Labels of the gallery, or groups, that hold what was typed; those that begin with it first."""
    served = choose_served(request.app.state.environment.home, model)
    wanted = typed.strip().casefold()
    found = [each for each in (served.groups if kind == "groups" else served.labels) if wanted in each.casefold()]
    return sorted(found, key=lambda each: not each.casefold().startswith(wanted))[:50]


def sent_images(home: Home, served: Served, form: FormData, field: str = "images") -> list[SentImage]:
    """The images of a form: its files, then the examples that were chosen.

    Raises:
        TooLarge: There are too many, or one is too large for the endpoint.
        NotFound: An example is not on this machine.
    """
    found: list[SentImage] = []
    for upload in form.getlist(field):
        if isinstance(upload, UploadFile) and (upload.filename or upload.size):
            data = upload.file.read(MAX_BYTES + 1)
            name = visible(upload.filename or "image")[:200]
            if len(data) > MAX_BYTES:
                raise TooLarge(f"{name} has more than {MAX_BYTES // 2**20} MB.", "Save it smaller.")
            found.append(SentImage(name, data, len(found)))
    for entry in form.getlist("example"):
        if isinstance(entry, str) and entry:
            found.append(_example(served, entry))
    return found


def _example(served: Served, entry: str) -> SentImage:
    """The image of a sample; a sample that is a box in an image is cut out."""
    place = place_of(entry, served.folders)
    if place is None:
        raise NotFound("This example is not on this machine.", "Choose another image.")
    data = place.file.read_bytes()
    cut = data if place.box is None else chosen_image(FileImage.of(place.file, place.box), _CROP_SIDE).jpeg
    return SentImage(place.file.name, cut, example=entry)


def _questions(operation: Operation[Any], images: Sequence[SentImage]) -> list[list[SentImage]]:
    """The images of each question: one each, or all of them for an operation that compares."""
    if not images:
        raise InvalidInput("No image was chosen.", "Drop one, paste one, or choose an example.")
    if len(images) > MAX_IMAGES:
        raise TooLarge(f"{len(images)} images are too many.", f"At most {MAX_IMAGES} are asked about at a time.")
    if operation.images == 1:
        return [[image] for image in images]
    if len(images) != operation.images:
        raise InvalidInput(f"{operation.name} needs {operation.images} images, not {len(images)}.", "Choose as many.")
    return [list(images)]


def _checked(operation: Operation[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, of their types.

    Raises:
        InvalidInput: One of them is wrong; the message names it.
    """
    query = make_query(operation.name, [b""] * operation.images, options)
    return {name: getattr(query.options, name) for name in options}


def _looked_at(images: Sequence[SentImage]) -> Item:
    """A question before it is asked: its images, made small, or what is wrong with them."""
    names = tuple(image.name for image in images)
    try:
        return Item(names, tuple(_small(image) for image in images))
    except InvalidInput as error:
        return Item(names, (None,) * len(names), error)


def _asked(
    client: Client,
    operation: str,
    images: Sequence[SentImage],
    item: Item,
    options: Mapping[str, Any],
    served: Served,
    request: Request,
) -> Item:
    """Ask one question, unless its images cannot be asked about. What is wrong with it alone is its own error."""
    if item.error is not None:
        return item
    begun = time.perf_counter()
    try:
        answer = getattr(client, operation)(*(image.data for image in images), **options, model=served.model)
    except GlocalError as error:
        return replace(item, error=error)
    small, seconds = item.images, time.perf_counter() - begun
    signer = Tokens(request.app.state.sessions.key)
    tokens = tuple(signer.sign(answer, operation, served, image.data) for image in images)
    neighbours = shown_neighbours(answer, small[0], served) if isinstance(answer, SearchAnswer) else ()
    drawn = None
    if isinstance(answer, VerifyAnswer) and (one := small[0]) and (other := small[1]):
        drawn = pair(one, other.width, other.height, answer.matches or ())
    chosen = tuple(image.example for image in images if image.example)
    files = tuple(image.index for image in images if not image.example)
    found = {"answer": answer, "seconds": seconds, "tokens": tokens, "neighbours": neighbours, "pair": drawn}
    return replace(item, **found, examples=chosen, files=files)


def _small(image: SentImage) -> Thumbnail | None:
    """The image as it is shown; None if it is too large for that. Raises what is wrong with it, by its name."""
    try:
        return small_sent(image.data, _SHOWN_SIDE, IMAGE_LIMITS)
    except ImageRefused as error:
        raise InvalidInput(f"{image.name}: {error.headline}", error.hint) from error


def _page(
    request: Request,
    model: str,
    operation: str,
    *,
    label: str = "",
    given: Mapping[str, str] | None = None,
    status: int = 200,
    answer: Mapping[str, Any] | None = None,
) -> Response:
    home: Home = request.app.state.environment.home
    try:
        served = choose_served(home, model)
    except Unavailable as error:
        return page(request, "try/nothing.html", part="try", error=error)
    return page(
        request,
        "try/index.html",
        part="try",
        status=status,
        models=served_models(home),
        fault=_fault(home, served),
        operations=[(each, fields(each, served, given or {})) for each in operations()],
        operation=operation,
        examples=examples(served, label),
        label=label,
        most=MAX_IMAGES,
        **{"served": served, "items": None, "error": None, **(answer or {})},
    )


def _fault(home: Home, served: Served) -> GlocalError | None:
    """Why the endpoint does not answer for this model now; None if it does."""
    with contextlib.suppress(OSError):
        try:
            with local_client(home.serve, timeout_s=_LOOK_S) as client:
                client.release(served.model)
        except GlocalError as error:
            return error
    return None
