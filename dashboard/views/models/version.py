"""The page of one version."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.models.drawing import draw_lineage
from dashboard.views.models.figures import MAIN, figure_rows
from dashboard.views.models.listing import Known, known_model
from dashboard.views.models.markdown import as_html
from model.errors import NotFound
from model.schemas.model_version import ModelVersion
from pipelines.jobs.job import under_way
from pipelines.jobs.serving import SERVING

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Found:
    """A version, its model, and the champion beside it."""

    known: Known
    version: ModelVersion

    @property
    def beside(self) -> ModelVersion | None:
        """The champion; None if there is none, or this is it."""
        champion = self.known.champion
        return champion if champion is not None and champion.version != self.version.version else None


def found_version(known: Known, number: str) -> Found:
    """A version of a model.

    Raises:
        NotFound: There is none of this number or alias.
    """
    for version in known.versions:
        if number == version.version or number in version.aliases:
            return Found(known, version)
    raise NotFound(f"There is no version {number[:100]} of {known.name}.", f"It has {len(known.versions)} versions.")


@router.get("/models/{name}/{version}")
def one_version(request: Request, person: Viewer, name: str, version: str) -> Response:
    """All that is on record of a version."""
    from serving.lineage import lineage_of
    from serving.signatures import must_be_signed

    environment = request.app.state.environment
    found = found_version(known_model(environment, name), version)
    number = found.version.version
    lineage = lineage_of(
        environment.home,
        environment.mlflow_uri,
        name,
        number,
        history=found.known.history,
        serves=found.known.serving.version == number,
    )
    intervals = {
        figure: (each.lower, each.upper) for figure, each in lineage.figures.items()
    }  # of its report, if no tag has them
    shown_version = found.version.model_copy(update={"intervals": {**intervals, **found.version.intervals}})
    derived = [each for each in found.known.versions if each.base_version == found.version.version]
    shown: dict[str, Any] = {
        "found": found,
        "lineage": lineage,
        "drawing": draw_lineage(lineage, derived),
        "derived": derived,
        "figures": figure_rows(shown_version, found.beside),
        "main": figure_rows(shown_version, found.beside, MAIN),
        "said": found.known.approvals.get(found.version.version),
        "card": _card(environment.mlflow_uri, name, found.version.version),
        "must_be_signed": must_be_signed(),
        "change": under_way(environment.home, SERVING),
    }
    return page(request, "models/version.html", part="models", **shown)


def _card(tracking_uri: str, name: str, number: str) -> Any:
    """The model card as HTML; None if none is kept."""
    from serving.registry.models import Registry

    try:
        return as_html(Registry(tracking_uri, name).files.card(number))
    except NotFound:
        return None
