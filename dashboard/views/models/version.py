"""The page of one version."""

from typing import Any

from fastapi import APIRouter, Request, Response

from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.models.drawing import SHOWN, draw_lineage
from dashboard.views.models.figures import MAIN, figure_rows
from dashboard.views.models.found import Found, find_version
from dashboard.views.models.markdown import as_html
from model.errors import NotFound
from pipelines.jobs.job import under_way
from pipelines.jobs.serving import SERVING

router = APIRouter(include_in_schema=False)


@router.get("/models/{name}/{version}")
def one_version(request: Request, person: Viewer, name: str, version: str) -> Response:
    """All that is on record of a version."""
    from serving.evidence import run_of
    from serving.lineage import trace
    from serving.registry.runs import Runs
    from serving.signatures import must_be_signed

    environment = request.app.state.environment
    found = find_version(environment, name, version)
    number, runs = found.version.version, Runs(environment.mlflow_uri)
    lineage = trace(
        found.registry,
        runs,
        found.version,
        run=run_of(runs, found.version),
        history=found.history,
        serves=found.serving.version == number,
    )
    intervals = {
        figure: (each.lower, each.upper) for figure, each in lineage.figures.items()
    }  # of its report, if no tag has them
    derived = found.registry.versions(most=SHOWN, made_from=number, aliases=found.aliases)
    shown_version = found.version.model_copy(update={"intervals": {**intervals, **found.version.intervals}})
    shown: dict[str, Any] = {
        "found": found,
        "lineage": lineage,
        "drawing": draw_lineage(lineage, derived),
        "figures": figure_rows(shown_version, found.beside),
        "main": figure_rows(shown_version, found.beside, MAIN),
        "said": found.said,
        "card": _card(found),
        "must_be_signed": must_be_signed(),
        "change": under_way(environment.home, SERVING),
    }
    return page(request, "models/version.html", part="models", **shown)


def _card(found: Found) -> Any:
    """The model card as HTML; None if none is kept."""
    try:
        return as_html(found.registry.files.card(found.version.version))
    except NotFound:
        return None
