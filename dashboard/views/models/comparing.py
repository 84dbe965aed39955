"""Two versions of a model side by side; the queries won and lost as images, when they are asked for."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from dashboard.rendering import page
from dashboard.security.people import Viewer
from dashboard.views.models.figures import figure_rows
from dashboard.views.models.listing import known_model
from dashboard.views.models.version import found_version
from model.errors import GlocalError, InvalidInput
from model.schemas.comparison import Comparison

router = APIRouter(include_in_schema=False)


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
    from serving.version_diff import changed_queries, diff_versions

    environment = request.app.state.environment
    known = known_model(environment, name)
    if len(known.versions) < 2:
        raise InvalidInput(f"{name} has one version.", "Another one to compare it with is made by a run.")
    after = found_version(known, to).version if to else known.versions[0]
    others = [each for each in (known.champion, *known.versions) if each is not None and each.version != after.version]
    first = found_version(known, before).version if before else others[0]
    found = diff_versions(environment.home, environment.mlflow_uri, name, first.version, after.version)
    compared: Comparison | None = None
    error: GlocalError | None = None
    if queries and found.queries:
        try:
            compared = changed_queries(environment.home, environment.mlflow_uri, found.before, found.after)
        except GlocalError as gone:
            error = gone
    shown: dict[str, Any] = {"known": known, "found": found, "figures": figure_rows(found.after, found.before)}
    return page(request, "models/diff.html", part="models", compared=compared, error=error, **shown)
