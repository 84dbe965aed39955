"""All data sets of this home."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from dashboard.rendering import page
from dashboard.security.people import Role, Viewer
from dashboard.views.data.catalogue import all_datasets, all_versions, registered, store_of, trained_on
from model.data.importing.last_import import LastImport, last_import
from model.home import DataStore
from model.schemas.data_pin import DataPin
from model.schemas.model_version import ModelVersion
from pipelines.jobs.data import import_data
from pipelines.jobs.job import new_key, read_jobs

router = APIRouter(include_in_schema=False)
_JOBS = 5


@dataclass(frozen=True)
class _Row:
    """A data set in the list."""

    pin: DataPin
    imported: datetime
    revisions: int
    used_by: list[ModelVersion]
    last: LastImport | None


@router.get("/data")
def listing(request: Request, person: Viewer) -> Response:
    """The data sets, and the form that imports one."""
    return show_listing(request, person.role)


def show_listing(request: Request, role: Role, *, typed: dict[str, str] | None = None, mistakes: Any = None) -> Response:
    """The page of all data sets.

    Args:
        request: The request that it answers.
        role: Role of who asks.
        typed: What stood in the form that is shown again.
        mistakes: What is wrong with it, by field.
    """
    store, (versions, unread) = store_of(request), registered(request)
    imports, damaged = read_jobs(request.app.state.environment.home, import_data, most=_JOBS)
    rows = []
    for pin in all_datasets(store):
        known = all_versions(store, pin.path)
        users = trained_on(versions, *(each for _, each in known))
        rows.append(_Row(pin, known[0][0], len(known), users, last_import(store, pin.path)))
    known_names = {row.pin.path for row in rows}
    refused = [(name, last) for name, last in _last_imports(store) if name not in known_names and last.defects]
    return page(
        request,
        "data/listing.html",
        part="data",
        status=422 if mistakes else 200,
        rows=rows,
        refused=refused,
        unread=unread,
        imports=imports,
        damaged=damaged,
        key=new_key(),
        may_import=role.allows(Role.OPERATOR),
        typed=typed or {"source": "", "name": "", "settings": ""},
        mistakes=mistakes or {},
    )


def _last_imports(store: DataStore) -> list[tuple[str, LastImport]]:
    """The names under which an import ended, each with what the last one found, newest first."""
    found = [(file.stem, last_import(store, file.stem)) for file in store.reports.glob("*.json")]
    return sorted(((name, last) for name, last in found if last), key=lambda each: each[1].at, reverse=True)[:_JOBS]
