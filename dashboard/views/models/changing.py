"""The changes of what serves: a form that shows first what changes.

A version is promoted, rolled back or approved by a job (`pipelines.jobs`); a refusal is a word on record, and needs none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.rendering import page
from dashboard.security.people import Operator
from dashboard.views.models.figures import figure_rows
from dashboard.views.models.found import Found, find_version
from model.environment import Environment
from model.errors import Conflict, GlocalError
from model.home import Home
from model.schemas.promotion_plan import PromotionPlan
from pipelines.actions.action import Caller
from pipelines.actions.models import refuse_version
from pipelines.jobs.job import begin_job, new_key, refuse_beside
from pipelines.jobs.kind import Asked as AskedJob
from pipelines.jobs.serving import SERVING, approve, promote, roll_back

router = APIRouter(include_in_schema=False)
Asked = Literal["promote", "rollback", "approve", "refuse"]
_LONGEST = 500
"""Maximum characters of a reason."""
_TITLES: Mapping[Asked, str] = {
    "promote": "Promote version {}",
    "rollback": "Roll back to version {}",
    "approve": "Approve version {}",
    "refuse": "Refuse version {}",
}


@dataclass(frozen=True)
class Filled:
    """What was typed into a form.

    Attributes:
        why: The reason.
        confirm: The name that was typed to confirm.
        before: The version that was champion when the form was made; empty if there was none.
        key: Key of the form.
        other_data: Whether it was said that a version of another data set is replaced.
    """

    why: str = ""
    confirm: str = ""
    before: str = ""
    key: str = field(default_factory=new_key)
    other_data: bool = False


def filled(
    why: Annotated[str, Form()] = "",
    confirm: Annotated[str, Form()] = "",
    before: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
    other_data: Annotated[bool, Form()] = False,
) -> Filled:
    """The form of a request."""
    return Filled(why.strip(), confirm.strip(), before, key, other_data)


def busy(home: Home) -> GlocalError | None:
    """Why no change can be asked for now: another one is under way; None if it can. Sent twice, a form is not in its own way."""
    try:
        refuse_beside(home, SERVING)
    except Conflict as error:
        return error
    return None


def model_address(name: str) -> str:
    """The address of a model's page."""
    return f"/models/{quote(name, safe='')}"


@router.get("/models/{name}/rollback")
def rollback_form(request: Request, person: Operator, name: str) -> Response:
    """What a rollback would change."""
    return _form(request, name, _previous(request, name), "rollback")


@router.post("/models/{name}/rollback")
def begin_rollback(
    request: Request,
    person: Operator,
    name: str,
    why: Annotated[str, Form()] = "",
    confirm: Annotated[str, Form()] = "",
    before: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> Response:
    """Begin a rollback."""
    return _begin(request, person, name, _previous(request, name), "rollback", filled(why, confirm, before, key))


@router.get("/models/{name}/{version}/{asked}")
def form(request: Request, person: Operator, name: str, version: str, asked: Literal["promote", "approve", "refuse"]) -> Response:
    """What a promotion, an approval or a refusal would change."""
    return _form(request, name, version, asked)


@router.post("/models/{name}/{version}/{asked}")
def begin(
    request: Request,
    person: Operator,
    name: str,
    version: str,
    asked: Literal["promote", "approve", "refuse"],
    why: Annotated[str, Form()] = "",
    confirm: Annotated[str, Form()] = "",
    before: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
    other_data: Annotated[bool, Form()] = False,
) -> Response:
    """Begin a promotion or an approval, or record a refusal."""
    return _begin(request, person, name, version, asked, filled(why, confirm, before, key, other_data))


def _previous(request: Request, name: str) -> str:
    """The version that a rollback brings back."""
    from serving.planning import plan_rollback

    return plan_rollback(request.app.state.environment.mlflow_uri, name).wanted.version


def _form(
    request: Request,
    name: str,
    number: str,
    asked: Asked,
    *,
    typed: Filled | None = None,
    mistakes: Mapping[str, str] | None = None,
    error: GlocalError | None = None,
) -> Response:
    """The form with what it would change; `typed` and its mistakes if it was filled in wrongly."""
    from serving.planning import plan_promotion

    environment: Environment = request.app.state.environment
    found = find_version(environment, name, number)
    version = found.version
    plan = plan_promotion(environment.mlflow_uri, name, version.version)
    obstacle = _obstacle(environment, found, plan, asked, request.scope["person"].name)
    if obstacle is None:
        obstacle = busy(environment.home)
    before = plan.serving.version if plan.serving else ""
    fresh = Filled(before=before)
    status = error.http_status if error else 422 if mistakes else 200
    return page(
        request,
        "models/asked.html",
        part="models",
        status=status,
        asked=asked,
        title=_TITLES[asked].format(version.version),
        found=found,
        plan=plan,
        figures=figure_rows(plan.wanted, plan.serving),
        said=found.said,
        obstacle=obstacle,
        typed=Filled(typed.why, typed.confirm, before, fresh.key, typed.other_data) if typed else fresh,
        mistakes=mistakes or {},
        error=error,
        word=f"{name} {version.version}",
    )


def _begin(request: Request, person: Operator, name: str, number: str, asked: Asked, typed: Filled) -> Response:
    """Make the change that a form asks for, unless something in it is wrong: then the form is shown again."""
    from serving.planning import plan_promotion

    environment: Environment = request.app.state.environment
    found = find_version(environment, name, number)
    version = found.version
    plan = plan_promotion(environment.mlflow_uri, name, version.version)
    mistakes = _mistakes(typed, f"{name} {version.version}", other_data=plan.other_data and asked in {"promote", "approve"})
    if mistakes:
        return _form(request, name, version.version, asked, typed=typed, mistakes=mistakes)
    try:
        if (plan.serving.version if plan.serving else "") != typed.before:
            raise Conflict("Another version became champion meanwhile.", "Look at what would change now, and decide again.")
        if obstacle := _obstacle(environment, found, plan, asked, person.name):
            raise obstacle
        if asked == "refuse":
            refuse_beside(environment.home, SERVING)
            refuse_version(Caller(environment, person.name), name, version.version, typed.why)
            return RedirectResponse(f"{model_address(name)}/{version.version}", 303)
        job = begin_job(environment.home, _job(asked, name, version.version, typed), by=person.name, key=typed.key)
    except GlocalError as error:
        return _form(request, name, version.version, asked, typed=typed, error=error)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _job(asked: Asked, name: str, version: str, typed: Filled) -> AskedJob:
    if asked == "rollback":
        return roll_back.asked(model=name, version=version, why=typed.why, instead_of=typed.before)
    begun = promote.asked if asked == "promote" else approve.asked
    return begun(model=name, version=version, why=typed.why, replace_other_data=typed.other_data, instead_of=typed.before)


def _mistakes(typed: Filled, word: str, *, other_data: bool) -> dict[str, str]:
    """What is wrong in a form, by the name of the field."""
    found = {}
    if not typed.why:
        found["why"] = "A change needs a reason."
    elif len(typed.why) > _LONGEST:
        found["why"] = f"The reason has {len(typed.why)} characters; at most {_LONGEST} are kept."
    if " ".join(typed.confirm.split()) != word:
        found["confirm"] = f"Type {word} to confirm."
    if other_data and not typed.other_data:
        found["other_data"] = "The champion was made from another data set. Say that it is to be replaced."
    return found


def _obstacle(environment: Environment, found: Found, plan: PromotionPlan, asked: Asked, by: str) -> GlocalError | None:
    """Why a change cannot be made, whatever is typed; None if it can."""
    from serving.approval import check_word
    from serving.deployment import ModelRecords

    version, said = found.version, found.said
    try:
        if asked in {"approve", "refuse"}:
            records = ModelRecords.open(environment.home, environment.mlflow_uri, found.name)
            check_word(records.registry, records.ledger, version.version, "approved" if asked == "approve" else "refused", by=by)
        elif plan.serves and found.serving.agrees:
            raise Conflict(f"{version.label} serves already.", "Nothing would change.")
        elif said is not None and not said.may_serve:
            needed = f"{version.label} needs the approval of {said.rule.approvers}, and has not got it."
            raise Conflict(needed, "An operator approves it on its page.")
        if asked != "refuse":
            if version.removed:
                raise Conflict(f"The files of {version.label} were removed.", "Run the pipeline again.")
            if plan.unsigned:
                raise Conflict(
                    f"{version.label} is not signed, and only signed versions are loaded here.",
                    f"Where the signing key is: glocal sign {version.version} --name {found.name}.",
                )
    except GlocalError as error:
        return error
    return None
