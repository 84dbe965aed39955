"""The list of models, and the list of a model's versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from dashboard.outage import unless_down
from dashboard.paging import Pages
from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.models.endpoint import Serving, serving_of
from dashboard.views.models.figures import MAIN, figure_rows
from model.environment import Environment
from model.errors import NotFound
from model.schemas.approval import Approval
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Promotion, Service
from pipelines.jobs.job import read_jobs, under_way
from pipelines.jobs.kinds import KINDS
from pipelines.jobs.serving import SERVING

router = APIRouter(include_in_schema=False)
PAGE = 25
"""Versions on one page."""
_CHANGES = 10
"""Latest changes of what serves, of which those are named that cannot be read."""


@dataclass(frozen=True)
class Known:
    """What is known of a model.

    Attributes:
        name: Its name.
        versions: Its versions, newest first.
        history: The entries of the ledger on it, oldest first.
        approvals: What was said of those that need an approval, by their numbers.
        service: Since when its last promoted version serves; None if none was promoted.
        serving: What the endpoint serves of it.
    """

    name: str
    versions: Sequence[ModelVersion]
    history: Sequence[Promotion]
    approvals: Mapping[str, Approval]
    service: Service | None
    serving: Serving

    def aliased(self, alias: str) -> ModelVersion | None:
        """The version with an alias."""
        return next((version for version in self.versions if alias in version.aliases), None)

    @property
    def champion(self) -> ModelVersion | None:
        """The version with the alias `champion`."""
        return self.aliased("champion")

    @property
    def waiting(self) -> list[tuple[ModelVersion, Approval]]:
        """The versions that await approval, newest first."""
        known = [(version, self.approvals[version.version]) for version in self.versions if version.version in self.approvals]
        return [(version, said) for version, said in known if said.missing and not said.refused and not version.removed]


def known_models(environment: Environment) -> list[Known]:
    """All registered models, read by as many queries for any number of models and versions."""
    from serving import server
    from serving.approval import approvals
    from serving.history import read_history, services
    from serving.registry.models import read_catalogue
    from serving.registry.store import refuse_lost_records

    uri = environment.mlflow_uri
    refuse_lost_records(uri, environment.home)
    catalogue = read_catalogue(uri)
    history: list[Promotion] = read_history(uri) if catalogue else []
    spans, status = services(history), server.status(environment.home)
    own = {name: [entry for entry in history if entry.model == name] for name in catalogue}
    return [
        Known(
            name,
            versions,
            own[name],
            approvals(own[name], versions),
            spans[name][-1] if name in spans else None,
            serving_of(status, name, next((each.version for each in versions if "champion" in each.aliases), None)),
        )
        for name, versions in catalogue.items()
    ]


def _served_models(environment: Environment) -> list[Known]:
    """The models that were put to use here, by the files of the home, where the registry cannot be read."""
    from serving import server
    from serving.history import kept_history, services
    from serving.rollout.deployed import readable_deployed

    spans, status = services(kept_history(environment.home)), server.status(environment.home)
    deployed = {name: entry.version for name, entry in readable_deployed(environment.home.serve.deployed).items()}
    return [
        Known(name, (), (), {}, spans[name][-1] if name in spans else None, serving_of(status, name, deployed.get(name)))
        for name in sorted(deployed.keys() | status.models.keys())
    ]


def known_model(environment: Environment, name: str) -> Known:
    """One registered model.

    Raises:
        NotFound: There is none of this name.
    """
    found = known_models(environment)
    known = next((each for each in found if each.name == name), None)
    if known is None:
        registered = ", ".join(each.name for each in found) or "none"
        raise NotFound(f"There is no model {name[:100]}.", f"Registered: {registered}.")
    return known


@router.get("/models")
def models(request: Request, person: Viewer) -> Response:
    """All models: what serves, champion and challenger, and above them what waits for approval."""
    environment = request.app.state.environment
    found, lost = unless_down(request, lambda: known_models(environment))
    changes = [each for each in KINDS.values() if each.group == SERVING]
    shown: dict[str, Any] = {
        "models": _served_models(environment) if found is None else found,
        "lost": lost,
        "rows": figure_rows,
        "main": MAIN,
        "change": under_way(environment.home, SERVING),
        "damaged": read_jobs(environment.home, *changes, most=_CHANGES)[1],
    }
    return page(request, "models/models.html", part="models", **shown)


@router.get("/models/{name}")
def versions(request: Request, person: Viewer, name: str, at: int = 1) -> Response:
    """The versions of a model, newest first, a page of them."""
    environment = request.app.state.environment
    known = known_model(environment, name)
    shown: dict[str, Any] = {
        "known": known,
        "versions": Pages.of(known.versions, at, PAGE),
        "rows": figure_rows,
        "main": MAIN,
        "change": under_way(environment.home, SERVING),
    }
    return page(request, "models/versions.html", part="models", **shown)
