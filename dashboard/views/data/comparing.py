"""Two versions of data, side by side. The comparison is a job, because images are decoded; what it found is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.data.catalogue import address_of, chosen, opened, store_of
from dashboard.views.data.samples import image_address
from model.data.spread import evenly
from model.data.versions.stored import StoredVersion
from model.errors import InvalidInput
from model.schemas.data_diff import DataDiff, DataSample
from model.schemas.data_pin import DataPin
from pipelines.jobs.data import compare_data
from pipelines.jobs.job import begin_job, job_of
from pipelines.jobs.kind import Asked

T = TypeVar("T")
router = APIRouter(include_in_schema=False)
MOST = 60
"""Images of each kind of change that are shown, spread evenly over them."""


@dataclass(frozen=True)
class Change:
    """A sample on the page.

    Attributes:
        source: Address of its small image; empty if it is not on this machine.
        page: Address of its page; empty likewise.
        label: Its id, which stands for its image.
        said: What stands below it.
    """

    source: str
    page: str
    label: str
    said: str


@router.post("/data/{reference}/diff")
def compare(
    request: Request, person: Viewer, reference: str, with_: Annotated[str, Form(alias="with", max_length=200)]
) -> Response:
    """Compare a version with another one, in a process of its own."""
    one, other = _both(request, reference, with_)
    begin_job(request.app.state.environment.home, _asked(one, other), by=person.name)
    return RedirectResponse(f"{address_of(one)}/diff?with={_reference(other)}", 303)


@router.get("/data/{reference}/diff")
def difference(
    request: Request, person: Viewer, reference: str, with_: Annotated[str, Query(alias="with", max_length=200)]
) -> Response:
    """What differs between two versions, once it was looked for."""
    one, other = _both(request, reference, with_)
    job = job_of(request.app.state.environment.home, _asked(one, other))
    found = DataDiff.model_validate(job.result) if job and job.state == "succeeded" else None
    sheets = _sheets(request, found) if found else {}
    return page(
        request,
        "data/diff.html",
        part="data",
        before=one,
        after=other,
        base=address_of(one),
        job=job,
        found=found,
        sheets=sheets,
        leaks=_leaks(request, found) if found else [],
    )


def _both(request: Request, reference: str, other: str) -> tuple[DataPin, DataPin]:
    store = store_of(request)
    before, after = chosen(store, reference), chosen(store, other)
    if before.md5 == after.md5:
        raise InvalidInput(f"{before.named} and {after.named} hold the same files.", "Choose another revision.")
    return before, after


def _reference(pin: DataPin) -> str:
    return address_of(pin).removeprefix("/data/")


def _asked(one: DataPin, other: DataPin) -> Asked:
    """The comparison of two versions: one job for each pair, since versions never change."""
    return compare_data.asked(before=_reference(one), after=_reference(other))


def _sheets(request: Request, diff: DataDiff) -> dict[str, tuple[int, list[Change]]]:
    """The kinds of change with their number, and some of each as images."""
    store = store_of(request)
    one, other = opened(store, diff.before), opened(store, diff.after)
    changed = {"Relabelled": diff.relabelled, "On another side of the split": diff.moved}
    return {
        "Added": (len(diff.added), [_change(other, diff.after, each) for each in _some(diff.added)]),
        "Removed": (len(diff.removed), [_change(one, diff.before, each) for each in _some(diff.removed)]),
        **{
            title: (len(changes), [_change(other, diff.after, each.after, each.before) for each in _some(changes)])
            for title, changes in changed.items()
        },
    }


def _leaks(request: Request, diff: DataDiff) -> list[tuple[Change, Change]]:
    stored = opened(store_of(request), diff.after)
    return [(_change(stored, diff.after, leak.one), _change(stored, diff.after, leak.other)) for leak in _some(diff.leaks)]


def _some(changes: Sequence[T]) -> list[T]:
    return [changes[row] for row in evenly(len(changes), MOST).tolist()]


def _change(stored: StoredVersion | None, pin: DataPin, sample: DataSample, before: DataSample | None = None) -> Change:
    row = stored.rows.get(sample.id) if stored else None
    said = f"{sample.label}, {sample.split}"
    if before is not None:
        parts = [(before.label, sample.label), (before.split, sample.split)]
        said = ", ".join(f"{one} → {other}" if one != other else other for one, other in parts)
    if row is None:
        return Change("", "", sample.id, said)
    return Change(image_address(pin.md5, row, 160), f"{address_of(pin)}/samples/{row}", sample.id, said)
