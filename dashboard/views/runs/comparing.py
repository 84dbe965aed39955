"""Several runs side by side."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.runs.files import SANDBOX
from dashboard.views.runs.listing import row_of
from model.errors import InvalidInput, NotFound
from model.evaluation.metrics import FIGURES
from model.scratch import scratch_folder
from serving.registry.opened import run_records
from serving.registry.runs import LOSS, VALIDATION, Runs
from serving.run_comparison import CURVES, compare_runs, save_run_queries

router = APIRouter()
_MAIN = ("recall_at_1", "map_at_r", "ap50", "ap50_unlabelled")
_TITLES = {
    **FIGURES,
    "ap50": "AP50",
    "ap50_unlabelled": "AP50 without labels",
    VALIDATION: "Held-out MAP@R",
    LOSS: "Training loss",
}
RunIds = Annotated[list[str], Query(alias="run", default_factory=list, max_length=50)]


@router.get("/runs/compare")
def compare(request: Request, person: Viewer, run: RunIds, all: bool = False) -> Response:
    """Settings, figures, curves and queries of some runs; of the settings those that differ, or all of them."""
    found = compare_runs(_records(request), run)
    environment = request.app.state.environment
    return page(
        request,
        "runs/compare.html",
        part="runs",
        found=found,
        rows=[row_of(each, environment) for each in found.runs],
        settings=found.settings if all else found.differing,
        all=all,
        main=[name for name in _MAIN if name in found.figures],
        others=[name for name in sorted(found.figures) if name not in _MAIN],
        titles=_TITLES,
        curves=[(name, found.curves[name]) for name in CURVES if any(found.curves[name])],
        query="&".join(f"run={each.id}" for each in found.runs),
    )


@router.get("/runs/compare/queries")
def queries(request: Request, person: Viewer, run: RunIds) -> Response:
    """The queries that the second run wins and loses against the first one, as images: a page of its own."""
    if len(run) != 2:
        raise InvalidInput("Queries are compared between two runs.", "Choose two in the list of runs.")
    with scratch_folder("queries") as scratch:
        file = scratch / "queries.html"
        save_run_queries(request.app.state.environment.home, _records(request), run[0], run[1], file)
        return HTMLResponse(file.read_bytes(), headers={"Content-Security-Policy": SANDBOX})


def _records(request: Request) -> Runs:
    if (records := run_records(request.app.state.environment)) is None:
        raise NotFound("No run is on record yet.", "Start one first.")
    return records
