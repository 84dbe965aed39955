"""Actions on models: versions, where they come from, what a change would change, and the changes."""

from typing import TYPE_CHECKING

from pydantic import Field

from model.schemas.approval import Approval
from model.schemas.lineage import DataUses, Lineage
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Deployment, Promotion
from model.schemas.promotion_plan import PromotionPlan
from model.schemas.schema import Schema
from model.schemas.version_diff import VersionDiff
from pipelines.actions.action import Caller, action, ask, check_reason

if TYPE_CHECKING:
    from serving.rollout.endpoint import Endpoint


class Approved(Schema):
    """An operator's approval, and what came of it."""

    said: Approval = Field(description="What operators have said of the version")
    promoted: Deployment | None = Field(None, description="The version that serves now; absent while others must approve it")


@action("GET", "/models")
def list_models(caller: Caller) -> dict[str, list[ModelVersion]]:
    """The registered versions of every model, newest first, by name of the model."""
    from serving.registry.models import read_catalogue

    return read_catalogue(caller.environment.mlflow_uri)


def model_of(name: str) -> str:
    """The named model, or the only one.

    Raises:
        NotFound: No model is registered.
        InvalidInput: None is named, and several are registered.
    """
    if name:
        return name
    from serving.registry.models import only_model

    return only_model(list(ask(list_models)))


@action("GET", "/history")
def read_history(caller: Caller, model: str = "") -> list[Promotion]:
    """Every attempt to change what serves, oldest first; of one model where it is named."""
    from serving.history import read_history as read

    return read(caller.environment.mlflow_uri, name=model)


@action("GET", "/models/{model}/versions/{version}/lineage")
def show_lineage(caller: Caller, model: str, version: str) -> Lineage:
    """Where a version comes from, and what became of it."""
    from serving.lineage import lineage_of

    return lineage_of(caller.environment.home, caller.environment.mlflow_uri, model, version)


@action("GET", "/uses")
def list_uses(caller: Caller, data: str) -> DataUses:
    """The versions that a data set, or name@revision, went into."""
    from serving.data_uses import uses_of_data

    return uses_of_data(caller.environment.home, caller.environment.mlflow_uri, data)


@action("GET", "/models/{model}/diff")
def diff_versions(caller: Caller, model: str, before: str, after: str) -> VersionDiff:
    """Two versions side by side: settings, data, figures, queries won and lost."""
    from serving.version_diff import diff_versions as diff

    return diff(caller.environment.home, caller.environment.mlflow_uri, model, before, after)


@action("GET", "/models/{model}/versions/{version}/plan")
def plan_promotion(caller: Caller, model: str, version: str) -> PromotionPlan:
    """What would change if a version served."""
    from serving.planning import plan_promotion as plan

    return plan(caller.environment.mlflow_uri, model, version)


@action("GET", "/models/{model}/rollback")
def plan_rollback(caller: Caller, model: str) -> PromotionPlan:
    """What would change if the version before served again."""
    from serving.planning import plan_rollback as plan

    return plan(caller.environment.mlflow_uri, model)


@action("POST", "/models/{model}/versions/{version}/promote", "operator")
def promote_version(
    caller: Caller, model: str, version: str, why: str, replace_other_data: bool = False, instead_of: str | None = None
) -> Deployment:
    """Make a version the one that serves, once it has answered its golden queries.

    `instead_of` is the version that serves as the caller knows it: if another one does, nothing is changed.
    """
    return let_serve(caller, model, version, why, replace_other_data=replace_other_data, instead_of=instead_of)


@action("POST", "/models/{model}/rollback", "operator")
def roll_back_version(caller: Caller, model: str, version: str, why: str, instead_of: str | None = None) -> Deployment:
    """Bring back the version that served before; `version` is that one as the caller knows it, `instead_of` as in a promotion."""
    from serving.rollout.ahead import previous_ahead

    check_reason(why)
    with previous_ahead(caller.environment.home, model) as locked:
        # it served before, whatever its data
        return let_serve(caller, model, version, why, replace_other_data=True, instead_of=instead_of, locked=locked)


def let_serve(
    caller: Caller,
    model: str,
    version: str,
    why: str,
    *,
    replace_other_data: bool,
    instead_of: str | None,
    locked: "Endpoint | None" = None,
) -> Deployment:
    """Make a version the one that serves, on this machine; `locked` is the endpoint at which it is being loaded already."""
    check_reason(why)
    from serving.promotion import promote  # while the version is being loaded

    return promote(
        version,
        home=caller.environment.home,
        tracking_uri=caller.environment.mlflow_uri,
        name=model,
        by=caller.name,
        why=why,
        replace_other_data=replace_other_data,
        instead_of=instead_of,
        locked=locked,
    )


@action("POST", "/models/{model}/versions/{version}/approve", "operator")
def approve_version(
    caller: Caller, model: str, version: str, why: str, replace_other_data: bool = False, instead_of: str | None = None
) -> Approved:
    """Approve a version; it serves if that was the last word it needed."""
    from serving.promotion import approve

    check_reason(why)
    said, done = approve(
        version,
        home=caller.environment.home,
        tracking_uri=caller.environment.mlflow_uri,
        name=model,
        by=caller.name,
        why=why,
        replace_other_data=replace_other_data,
        instead_of=instead_of,
    )
    return Approved(said=said, promoted=done)


@action("POST", "/models/{model}/versions/{version}/refuse", "operator")
def refuse_version(caller: Caller, model: str, version: str, why: str) -> Approval:
    """Refuse a version: it does not serve, whoever approves it, until you approve it."""
    from serving.promotion import refuse

    check_reason(why)
    home, uri = caller.environment.home, caller.environment.mlflow_uri
    return refuse(version, home=home, tracking_uri=uri, name=model, by=caller.name, why=why)
