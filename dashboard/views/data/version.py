"""One version of a data set: classes, split, revisions, findings, and the models that use it."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from dashboard.paging import Pages
from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.data.catalogue import (
    address_of,
    all_versions,
    chosen,
    opened,
    record_of,
    registered,
    store_of,
    trained_on,
)
from model.data.importing.findings import Finding
from model.data.importing.last_import import last_import
from model.data.manifest import SPLITS
from model.data.spread import evenly
from model.data.versions.pin import check_name, dataset_names
from model.data.versions.stored import StoredVersion

router = APIRouter(include_in_schema=False)
_CLASSES, _FINDINGS = 50, 100
"""Classes, and findings, of one page."""
_BARS = 240
"""Bars of the chart; of more classes some are drawn, at even distances in the order of their sizes."""
Sort = Literal["name", "most", "fewest"]
Number = Annotated[int, Query(ge=1, le=100_000)]
Search = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class ClassRow:
    """A class in the table.

    Attributes:
        name: Its name.
        counts: Number of its samples by side of the split.
        total: Number of all of them.
    """

    name: str
    counts: dict[str, int]
    total: int


@dataclass(frozen=True)
class Bars:
    """The sizes of classes as a chart.

    Attributes:
        paths: Outline of the bars of each side of the split, as an SVG path in a box of 600 by 160.
        most: Size of the largest class, which reaches the top.
        median: Size of the middle one.
        fewest: Size of the smallest.
        drawn: Number of classes that are drawn.
    """

    paths: dict[str, str]
    most: int
    median: int
    fewest: int
    drawn: int


@router.get("/data/{reference}")
def version(
    request: Request,
    person: Viewer,
    reference: str,
    search: Search = "",
    sort: Sort = "name",
    number: Annotated[int, Query(ge=1, le=100_000, alias="page")] = 1,
) -> Response:
    """One version of a data set."""
    store = store_of(request)
    pin = chosen(store, reference)
    known, stored, record = all_versions(store, pin.path), opened(store, pin), record_of(store, pin)
    rows = _classes(stored, search, sort) if stored else []
    versions, unread = registered(request)
    last = last_import(store, pin.path)
    return page(
        request,
        "data/version.html",
        part="data",
        pin=pin,
        base=address_of(pin),
        imported=next((at for at, each in known if each.rev == pin.rev), None),
        is_newest=pin.rev == known[0][1].rev,
        versions=[(at, each, trained_on(versions, each)) for at, each in known],
        record=record,
        stored=stored,
        splits=[split for split in SPLITS if record.get("samples_by_split", {}).get(split)],
        bars=_bars(stored) if stored and len(stored.manifest) else None,
        classes=Pages.of(rows, number, _CLASSES),
        search=search,
        sort=sort,
        kinds=Counter(each["kind"] for each in record.get("warnings", ())),
        last=last if last and last.defects else None,
        unread=unread,
    )


@router.get("/data/{reference}/findings")
def findings(
    request: Request,
    person: Viewer,
    reference: str,
    kind: Search = "",
    of: Literal["version", "last"] = "version",
    number: Annotated[int, Query(ge=1, le=100_000, alias="page")] = 1,
) -> Response:
    """What an import found: that of this version, or the last one of the name, which may have been refused."""
    store = store_of(request)
    pin, last = None, None
    name = reference.partition("@")[0]
    if of == "version":
        pin = chosen(store, reference)
        found = [Finding(**each) for each in record_of(store, pin).get("warnings", ())]
    else:
        check_name(name)
        last = last_import(store, name)
        found = [*last.defects, *last.warnings] if last else []
    kinds = Counter(each.kind for each in found)
    shown = [each for each in found if kind in {"", each.kind}]
    return page(
        request,
        "data/findings.html",
        part="data",
        is_known=name in dataset_names(store),
        name=name,
        pin=pin,
        reference=reference,
        last=last,
        of=of,
        kinds=kinds,
        kind=kind,
        findings=Pages.of(shown, number, _FINDINGS),
    )


@router.get("/data/{reference}/uses")
def uses(request: Request, person: Viewer, reference: str) -> Response:
    """Every registered version that was trained on a version, or whose gallery holds images of it; their manifests are read."""
    from serving.data_uses import uses_of_data

    environment, pin = request.app.state.environment, chosen(store_of(request), reference)
    found = uses_of_data(environment.home, environment.mlflow_uri, f"{pin.path}@{pin.rev}")
    return page(request, "data/uses.html", part="data", pin=pin, base=address_of(pin), found=found)


def _classes(stored: StoredVersion, search: str, sort: Sort) -> list[ClassRow]:
    """The classes whose name holds a text, in order."""
    counts, names = stored.counts, stored.manifest.classes
    totals, wanted = counts.sum(axis=1).tolist(), search.casefold().strip()
    numbers = [number for number, name in enumerate(names) if wanted in name.casefold()]
    if sort != "name":
        numbers.sort(key=lambda number: (-totals[number] if sort == "most" else totals[number], names[number]))
    return [ClassRow(names[each], dict(zip(SPLITS, counts[each].tolist(), strict=True)), totals[each]) for each in numbers]


def _bars(stored: StoredVersion) -> Bars:
    totals = stored.counts.sum(axis=1)
    order = np.argsort(-totals, kind="stable")
    drawn = order[evenly(len(order), _BARS)]
    width, most = 600 / len(drawn), int(totals.max())
    paths: dict[str, str] = {}
    for place, number in enumerate(drawn.tolist()):
        split = SPLITS[int(stored.counts[number].argmax())]
        left, height = place * width, 156 * int(totals[number]) / most
        bar = f"M{left:.1f} 160v-{height:.1f}h{0.85 * width:.1f}v{height:.1f}z"
        paths[split] = paths.get(split, "") + bar
    ordered = {split: paths[split] for split in SPLITS if split in paths}
    return Bars(ordered, most, int(np.median(totals)), int(totals.min()), len(drawn))
