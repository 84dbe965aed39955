"""Search by example inside a version, suspicious labels and near duplicates: by the embeddings of a release that holds it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from dashboard.paging import Pages
from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.data.catalogue import address_of, chosen, opened, registered, store_of
from dashboard.views.data.samples import SMALL, Row, Shown, sample_at
from model.data.sent import small_sent
from model.data.versions.stored import StoredVersion, open_stored
from model.errors import Conflict, GlocalError, NotFound
from model.gallery_entries import id_beginning
from model.release import Release
from model.schemas.data_pin import DataPin
from model.schemas.look_alikes import LookAlikes, Neighbour
from model.schemas.model_version import ModelVersion
from pipelines.jobs.data import look_for_look_alikes
from pipelines.jobs.job import begin_job, job_of
from pipelines.jobs.kind import Asked
from serving.data_galleries import galleries_over, open_gallery_release
from serving.limits import IMAGE_LIMITS, MAX_BYTES

router = APIRouter(include_in_schema=False)
_NEAREST, _PAGE = 24, 25
By = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class Eyes:
    """The release by whose embeddings images are compared, and the others that could be asked.

    Attributes:
        version: Its version; None if no release holds the data.
        others: All versions that hold them, champions first.
        unread: Why the registry could not be read; empty if it could.
    """

    version: ModelVersion | None
    others: list[ModelVersion]
    unread: str

    @property
    def by(self) -> str:
        """The chosen version in addresses."""
        return f"{self.version.model}:{self.version.version}" if self.version else ""


@dataclass(frozen=True)
class Near:
    """A sample near another one.

    Attributes:
        id: Its id in the gallery.
        label: Its label in the gallery.
        score: Cosine similarity; None for the example itself.
        sample: The sample of the version; None if the entry comes from other data.
    """

    id: str
    label: str
    score: float | None
    sample: Shown | None


@router.get("/data/{reference}/alike/{row}")
def nearest(request: Request, person: Viewer, reference: str, row: Row, by: By = "") -> Response:
    """The samples that are nearest to one of the same version."""
    from model.evaluation.look_alikes import nearest_entries

    store = store_of(request)
    pin = chosen(store, reference)
    stored, eyes = open_stored(store, pin.md5), _eyes(request, pin, by)
    if row >= len(stored.manifest):
        raise NotFound(f"{pin.named} has no sample {row}.")
    example = sample_at(stored, row, _reference(pin))
    found, problem, coverage = None, "", ""
    if eyes.version is not None:
        try:
            release = _release(request, eyes.version)
            entry = _beginning(release, pin) + str(stored.manifest.ids[row])
            at = np.flatnonzero(release.gallery.entries.id_array == entry)
            coverage = _coverage(release, pin, stored)
            if len(at):
                vector = release.gallery.embeddings(at[:1])[0]
                found = _near(nearest_entries(release.gallery, vector, _NEAREST, besides=int(at[0])), release, pin, stored)
            else:
                problem = "This image is not in the gallery of that release: scenes, and what was removed, are not."
        except GlocalError as error:
            problem = str(error)
    seen = {"example": example, "uploaded": "", "found": found, "problem": problem, "coverage": coverage}
    return _alike(request, pin, eyes, seen, here=f"{address_of(pin)}/alike/{row}")


@router.post("/data/{reference}/alike")
def nearest_to_image(
    request: Request,
    person: Viewer,
    reference: str,
    image: Annotated[UploadFile, File()],
    by: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """The samples that are nearest to an image of one's own, which the served version embeds. Nothing is kept of it."""
    from model.evaluation.look_alikes import nearest_entries

    store = store_of(request)
    pin = chosen(store, reference)
    stored, eyes = open_stored(store, pin.md5), _eyes(request, pin, by)
    found, problem, coverage, shown = None, "", "", ""
    try:
        data = image.file.read(MAX_BYTES + 1)
        small = small_sent(data, 2 * SMALL, IMAGE_LIMITS)
        shown = small.uri if small else ""
        if eyes.version is None:
            raise NotFound("No release holds this data.", "Train one on it.")
        release = _release(request, eyes.version)
        coverage = _coverage(release, pin, stored)
        vector = _embedded(request, data, eyes.version, release)
        found = _near(nearest_entries(release.gallery, vector, _NEAREST), release, pin, stored)
    except GlocalError as error:
        problem = str(error)
    seen = {"example": None, "uploaded": shown, "found": found, "problem": problem, "coverage": coverage}
    return _alike(request, pin, eyes, seen, here=f"{address_of(pin)}/look-alikes", status=422 if problem else 200)


@router.post("/data/{reference}/look-alikes")
def look(request: Request, person: Viewer, reference: str, by: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Look for suspicious labels and near duplicates, in a process of its own."""
    pin = chosen(store_of(request), reference)
    eyes = _eyes(request, pin, by)
    if eyes.version is None:
        raise NotFound("No release holds this data.", "Train one on it.")
    begin_job(request.app.state.environment.home, _asked(eyes.version, pin), by=person.name)
    return RedirectResponse(f"{address_of(pin)}/look-alikes?by={eyes.by}", 303)


@router.get("/data/{reference}/look-alikes")
def look_alikes(
    request: Request,
    person: Viewer,
    reference: str,
    by: By = "",
    number: Annotated[int, Query(ge=1, le=1000, alias="page")] = 1,
) -> Response:
    """Suspicious labels and near duplicates, once they were looked for."""
    store = store_of(request)
    pin = chosen(store, reference)
    stored, eyes = opened(store, pin), _eyes(request, pin, by)
    job = job_of(request.app.state.environment.home, _asked(eyes.version, pin)) if eyes.version else None
    found, release, problem = None, None, ""
    if job is not None and eyes.version is not None and job.state == "succeeded":
        try:
            found, release = LookAlikes.model_validate(job.result), _release(request, eyes.version)
        except GlocalError as error:
            found, problem = None, str(error)
    beginning = _beginning(release, pin) if release else ""

    def sample(entry: str) -> Shown | None:
        row = stored.rows.get(entry.removeprefix(beginning)) if stored else None
        return sample_at(stored, row, _reference(pin)) if stored and row is not None else None

    return page(
        request,
        "data/look_alikes.html",
        part="data",
        pin=pin,
        base=address_of(pin),
        eyes=eyes,
        here=f"{address_of(pin)}/look-alikes",
        job=job,
        found=found,
        labels=Pages.of(found.labels, number, _PAGE) if found else None,
        pairs=found.pairs[: 2 * _PAGE] if found and number == 1 else (),
        sample=sample,
        problem=problem,
        coverage=_coverage(release, pin, stored) if release and stored else "",
    )


def _alike(request: Request, pin: DataPin, eyes: Eyes, seen: Mapping[str, object], *, here: str, status: int = 200) -> Response:
    """The page of what is nearest to a sample, or to an image that was sent."""
    shown = {"pin": pin, "base": address_of(pin), "eyes": eyes, "here": here, **seen}
    return page(request, "data/alike.html", part="data", status=status, **shown)


def _eyes(request: Request, pin: DataPin, by: str) -> Eyes:
    versions, unread = registered(request)
    others = galleries_over(request.app.state.environment.mlflow_uri, pin, versions)
    model, _, number = by.rpartition(":")
    wanted = [each for each in others if (each.model, each.version) == (model, number)] if by else others
    if by and not wanted and not unread:
        raise NotFound(f"No release {by} holds {pin.named}.", "Choose one of those that the page names.")
    return Eyes(wanted[0] if wanted else None, others, unread)


def _release(request: Request, version: ModelVersion) -> Release:
    return open_gallery_release(request.app.state.environment.mlflow_uri, version)


def _asked(version: ModelVersion, pin: DataPin) -> Asked:
    """The look at the gallery of a version of a model: one job for each release, since none ever changes."""
    return look_for_look_alikes.asked(model=version.model, version=version.version, release=version.release, data=_reference(pin))


def _reference(pin: DataPin) -> str:
    return address_of(pin).removeprefix("/data/")


def _beginning(release: Release, pin: DataPin) -> str:
    """What the ids of a version's samples begin with in the gallery of a release."""
    held = next((each for each in release.gallery_pins if each.md5 == pin.md5), pin)
    return id_beginning(held, release.pin)


def _near(entries: Iterable[Neighbour], release: Release, pin: DataPin, stored: StoredVersion) -> list[Near]:
    beginning, near = _beginning(release, pin), []
    for entry in entries:
        row = stored.rows.get(entry.id.removeprefix(beginning))
        sample = sample_at(stored, row, _reference(pin)) if row is not None else None
        near.append(Near(entry.id, entry.label, entry.score, sample))
    return near


def _coverage(release: Release, pin: DataPin, stored: StoredVersion) -> str:
    """What of a version is not in the gallery of a release, and what is in it beside the version; empty if neither."""
    beginning, ids = _beginning(release, pin), release.gallery.entries.id_array.tolist()
    held = sum(each.removeprefix(beginning) in stored.rows for each in ids)
    missing, beside = len(stored.manifest) - held, len(ids) - held
    said = (
        [f"{missing} of {len(stored.manifest)} samples are not in this gallery (scenes are not, nor what was removed)"]
        if missing
        else []
    )
    said += [f"{beside} of its {len(ids)} entries are of other data"] if beside else []
    return "; ".join(said)


def _embedded(request: Request, data: bytes, version: ModelVersion, release: Release) -> np.ndarray:
    """The embedding of an image by the version that serves, which must be of the same space as the gallery.

    Raises:
        Conflict: Another space serves.
        GlocalError: The endpoint does not run, or refuses the image.
    """
    from serving.local import local_client

    with local_client(request.app.state.environment.home.serve) as client:
        served = client.release(version.model)
        if served["embedding_space_id"] != release.embedding_space_id:
            raise Conflict(
                f"The endpoint serves another embedding space than {version.label}.",
                "Choose the version that serves, or promote this one.",
            )
        answer = client.embed(data, model=version.model)
    return np.array(answer.embedding, np.float32)
