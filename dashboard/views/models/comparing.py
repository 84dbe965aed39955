"""Two versions of a model side by side; the queries won and lost as images, when they are asked for."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.models.figures import figure_rows
from dashboard.views.models.found import open_model, version_of
from model.errors import GlocalError, InvalidInput
from model.schemas.comparison import Comparison
from model.schemas.model_version import ModelVersion

router = APIRouter(include_in_schema=False)
_OFFERED = 25
"""Versions that are offered, the newest; those with an alias are as well, and any other one is named by its number."""


@router.get("/models/{name}/diff")
def diff(
    request: Request,
    person: Viewer,
    name: str,
    before: Annotated[str, Query(alias="from")] = "",
    to: str = "",
    queries: bool = False,
) -> Response:
    """Settings, data, figures, and queries won and lost, of two versions.

    Args:
        request: The request.
        person: Who asks.
        name: Name of the model.
        before: The first version, `from` in the address; default: the champion, or the newest other one.
        to: The second version; default: the newest one.
        queries: Whether the queries are shown as images, which takes seconds.
    """
    from serving.registry.runs import Runs
    from serving.version_diff import changed_queries, compare_versions

    environment = request.app.state.environment
    registry, aliases = open_model(environment, name)
    newest = registry.versions(most=_OFFERED, aliases=aliases)
    if len(newest) < 2:
        raise InvalidInput(f"{name} has one version.", "Another one to compare it with is made by a run.")
    known = {each.version: each for each in newest}

    def chosen(number: str) -> ModelVersion:
        return known.get(number) or version_of(registry, aliases, number)

    after = chosen(to) if to else newest[0]
    champion = aliases.get("champion", "")
    first = chosen(before or next(each for each in filter(None, (champion, *known)) if each != after.version))
    found = compare_versions(environment.home, registry, Runs(environment.mlflow_uri), first, after)
    compared: Comparison | None = None
    error: GlocalError | None = None
    if queries and found.queries:
        try:
            compared = changed_queries(environment.home, environment.mlflow_uri, found.before, found.after)
        except GlocalError as gone:
            error = gone
    offered = {each.version: each.aliases for each in newest}
    for alias, number in aliases.items():
        offered.setdefault(number, (alias,))
    shown: dict[str, Any] = {"name": name, "found": found, "figures": figure_rows(found.after, found.before), "offered": offered}
    return page(request, "models/diff.html", part="models", compared=compared, error=error, **shown)
