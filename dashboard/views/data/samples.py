"""The images of a version: a sheet of them, one of them, and the addresses of the images themselves."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response

from dashboard.images import answer_small, small_image
from dashboard.paging import Pages
from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.data.catalogue import address_of, chosen, store_of
from model.data.decoding.limits import MAX_BYTES
from model.data.manifest import SPLITS, Box
from model.data.versions.stored import StoredVersion, open_stored
from model.errors import InvalidInput, NotFound
from model.home import DataStore

router = APIRouter(include_in_schema=False)
SMALL, LARGE = 160, 1280
"""Longest sides of images, in pixels: in a sheet, and alone."""
_SHEET = 60
Row = Annotated[int, Path(ge=0, le=10**9)]


@dataclass(frozen=True)
class Shown:
    """A sample on a page.

    Attributes:
        row: Its row in the version.
        md5: The version.
        path: Path of its image.
        label: Its label.
        split: Its side of the split.
        box: Its box; None if it is the whole image.
        reference: The version in addresses, as name@revision.
    """

    row: int
    md5: str
    path: str
    label: str
    split: str
    box: Box | None
    reference: str

    @property
    def source(self) -> str:
        """Address of the sample as a small image."""
        return image_address(self.md5, self.row, SMALL)

    @property
    def page(self) -> str:
        """Address of its page."""
        return f"/data/{self.reference}/samples/{self.row}"


@dataclass(frozen=True)
class SampleImage:
    """The image of a sample; `whole`: with what is round its box."""

    store: DataStore
    md5: str
    row: int
    whole: bool

    def read(self) -> tuple[bytes, Box | None]:
        """The encoded image, and the box that is shown."""
        stored = open_stored(self.store, self.md5)
        data = stored.read(self.row, MAX_BYTES + 1)  # one byte too many is refused by the header
        return data, None if self.whole else stored.manifest.box(self.row)


@router.get("/data/{reference}/samples")
def sheet(
    request: Request,
    person: Viewer,
    reference: str,
    label: Annotated[str, Query(max_length=500)] = "",
    split: Annotated[str, Query(max_length=20)] = "",
    number: Annotated[int, Query(ge=1, le=100_000, alias="page")] = 1,
) -> Response:
    """A sheet of samples, of one class or side of the split if one is named."""
    store = store_of(request)
    pin = chosen(store, reference)
    stored = open_stored(store, pin.md5)
    rows = _chosen_rows(stored, label, split)
    shown = Pages.of(rows, number, _SHEET)
    return page(
        request,
        "data/samples.html",
        part="data",
        pin=pin,
        base=address_of(pin),
        label=label,
        split=split,
        classes=stored.manifest.classes,
        splits=[each for each, count in zip(SPLITS, stored.counts.sum(axis=0).tolist(), strict=True) if count],
        pages=shown,
        samples=[sample_at(stored, row, address_of(pin).removeprefix("/data/")) for row in shown.rows],
    )


@router.get("/data/{reference}/samples/{row}")
def sample(request: Request, person: Viewer, reference: str, row: Row) -> Response:
    """One sample: the whole image with all its boxes."""
    store = store_of(request)
    pin = chosen(store, reference)
    stored = open_stored(store, pin.md5)
    if row >= len(stored.manifest):
        raise NotFound(f"{pin.named} has no sample {row}.", f"It has {len(stored.manifest)}, from 0 on.")
    reference = address_of(pin).removeprefix("/data/")
    same = np.flatnonzero(stored.manifest.paths == stored.manifest.paths[row]).tolist()
    problem, whole = "", None
    try:
        whole = small_image(SampleImage(store, pin.md5, row, whole=True), LARGE)
    except (InvalidInput, NotFound) as error:
        problem = error.headline
    return page(
        request,
        "data/sample.html",
        part="data",
        pin=pin,
        base=address_of(pin),
        sample=sample_at(stored, row, reference),
        others=[sample_at(stored, each, reference) for each in same],
        whole=whole,
        source=image_address(pin.md5, row, LARGE, whole=True),
        problem=problem,
        md5=stored.images[row].decode(),
        before=row - 1 if row else None,
        after=row + 1 if row + 1 < len(stored.manifest) else None,
    )


@router.get("/data-images/{md5}/{row}/{side}")
def image(
    request: Request,
    person: Viewer,
    md5: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
    row: Row,
    side: int,
    whole: Literal["", "1"] = "",
) -> Response:
    """A sample as a small JPEG. The address names the content, so browsers may keep it for ever."""
    return answer_small(SampleImage(store_of(request), md5, row, bool(whole)), side)


def image_address(md5: str, row: int, side: int, *, whole: bool = False) -> str:
    """Address of a sample's image; `whole` with what is round its box."""
    return f"/data-images/{md5}/{row}/{side}{'?whole=1' if whole else ''}"


def sample_at(stored: StoredVersion, row: int, reference: str) -> Shown:
    """The sample of a row, for a page."""
    manifest = stored.manifest
    label, split = manifest.classes[manifest.labels[row]], str(manifest.splits[row])
    return Shown(row, stored.md5, str(manifest.paths[row]), label, split, manifest.box(row), reference)


def _chosen_rows(stored: StoredVersion, label: str, split: str) -> list[int]:
    manifest = stored.manifest
    wanted = np.ones(len(manifest), bool)
    if label:
        if label not in manifest.classes:
            raise NotFound(f"This version has no class {label!r}.", "Its page lists all of them.")
        wanted &= manifest.labels == manifest.classes.index(label)
    if split:
        wanted &= manifest.splits == split
    return [int(row) for row in np.flatnonzero(wanted)]
