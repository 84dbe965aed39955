"""`glocal promote`, `rollback`, `approve`, `refuse` and `sign`: another version serves, or may, after a look at what changes."""

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment, current_user
from model.text import visible
from pipelines.actions.action import Caller, ask, check_reason
from pipelines.cli.console import Console, confirm, say
from pipelines.cli.options import DryRun, Json, ModelName, Yes

if TYPE_CHECKING:
    from model.schemas.approval import Approval
    from model.schemas.promotion import Deployment
    from model.schemas.promotion_plan import FigureChange, PromotionPlan
    from serving.rollout.endpoint import Endpoint

OtherData = Annotated[bool, typer.Option("--replace-other-data", help="With --yes: replace a version of another data set.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.", show_default=False)]


def promote(
    version: Annotated[str, typer.Argument(help="The registered version that is to serve.")],
    why: Why,
    name: ModelName = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    replace_other_data: OtherData = False,
    as_json: Json = False,
) -> None:
    """Make a registered version the one that serves, once it has answered its golden queries; shows first what changes."""
    from pipelines.actions.models import model_of, plan_promotion

    plan = ask(plan_promotion, model=model_of(name), version=version)
    may_replace = _may_replace(replace_other_data, yes=yes)
    _change(plan, why, dry_run=dry_run, yes=yes, replace_other_data=may_replace, as_json=as_json)


def rollback(why: Why, name: ModelName = "", dry_run: DryRun = False, yes: Yes = False, as_json: Json = False) -> None:
    """Bring back the version that served before."""
    from serving.rollout.ahead import previous_ahead

    check_reason(why)
    environment = Environment()
    is_here = not environment.server
    with previous_ahead(environment.home, name) if yes and not dry_run and is_here else nullcontext() as locked:
        from pipelines.actions.models import model_of, plan_rollback  # while the version is being loaded

        plan = ask(plan_rollback, model=model_of(name))
        _change(plan, why, dry_run=dry_run, yes=yes, replace_other_data=None, as_json=as_json, locked=locked)


def sign(
    version: Annotated[str, typer.Argument(help="The registered version.")], name: ModelName = "", as_json: Json = False
) -> None:
    """Sign a registered version with GLOCAL_SIGNING_KEY or by Sigstore, in place of the signature that it may have.

    A run signs what it registers, where one of them is set: this is for versions of before, and for another key.
    """
    from serving.registry.models import Registry

    model = _model(name)
    Registry(Environment().mlflow_uri, model).sign(version)
    print(json.dumps({"signed": {"model": model, "version": version}}) if as_json else f"signed version {version} of {model}")


def approve(
    version: Annotated[str, typer.Argument(help="The registered version that awaits approval.")],
    why: Why,
    name: ModelName = "",
    yes: Yes = False,
    replace_other_data: OtherData = False,
    as_json: Json = False,
) -> None:
    """Approve a version as an operator; once as many have as it needs, it serves. Shows first what changes."""
    from pipelines.actions.models import approve_version, model_of, plan_promotion

    model = model_of(name)
    plan = ask(plan_promotion, model=model, version=version)
    by = _operator()
    check_reason(why)
    _show(plan)
    confirm(f"Approve version {version} of {model} as {by or 'the owner of the key'}?", yes=yes)
    done = ask(
        approve_version,
        as_=by,
        tell=Console(),
        model=model,
        version=version,
        why=why,
        replace_other_data=_may_replace(replace_other_data, yes=yes),
        instead_of=plan.serving.version if plan.serving else "",
    )
    if done.promoted is None:
        _tell(done.said, as_json=as_json)
    else:
        _tell_promoted(plan, done.promoted, as_json=as_json)


def refuse(
    version: Annotated[str, typer.Argument(help="The registered version that awaits approval.")],
    why: Why,
    name: ModelName = "",
    as_json: Json = False,
) -> None:
    """Refuse a version as an operator: it does not serve, whoever approves it, until you approve it."""
    from pipelines.actions.models import model_of, refuse_version

    check_reason(why)
    model = model_of(name)
    _tell(ask(refuse_version, as_=_operator(), model=model, version=version, why=why), as_json=as_json)


def _tell(said: "Approval", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**said.model_dump(mode="json"), "missing": said.missing, "may_serve": said.may_serve}))
        return
    words = [f"approved by {', '.join(said.approved)}"] if said.approved else []
    words += [f"refused by {', '.join(said.refused)}"] if said.refused else []
    waits = f"; {said.missing} more must approve it" if said.missing and not said.refused else ""
    print(visible(f"{said.model} version {said.version}: {', '.join(words)}{waits}"))


def _operator() -> str:
    """Name of the operator who acts: of the key in GLOCAL_KEY, else, by the key of this home's owner, of this user.

    Empty where a dashboard is asked, which knows the key.
    """
    environment = Environment()
    if environment.server:
        return ""
    from serving.gateway.keys import KeyFile, Scope
    from serving.local import ensure_key, read_key

    if not environment.key:
        ensure_key(environment.home.serve)
    own = read_key(environment.home.serve)
    key = KeyFile(environment.home.serve.keys).admit(environment.key or own, Scope.OPERATOR)
    return key.name if environment.key and environment.key != own else current_user()


def _may_replace(replace_other_data: bool, *, yes: bool) -> bool:
    """Whether the champion may be of another data set: if that was said, or a person is asked, who has read what is replaced."""
    return replace_other_data or not yes


def _change(
    plan: "PromotionPlan",
    why: str,
    *,
    dry_run: bool,
    yes: bool,
    replace_other_data: bool | None,
    as_json: bool,
    locked: "Endpoint | None" = None,
) -> None:
    """Show a plan, and let its version serve; `replace_other_data` is None for one that served before, whatever its data."""
    check_reason(why)
    _show(plan)
    if dry_run:
        print(json.dumps({"plan": plan.model_dump(mode="json"), "changed": False}) if as_json else "nothing was changed")
        return
    confirm(f"Let version {plan.wanted.version} of {plan.model} serve?", yes=yes)
    instead_of = plan.serving.version if plan.serving else ""
    named = {"model": plan.model, "version": plan.wanted.version, "why": why, "instead_of": instead_of}
    from pipelines.actions.models import let_serve, promote_version, roll_back_version

    if locked is not None:
        done = let_serve(Caller(Environment(), current_user()), **named, replace_other_data=True, locked=locked)
    elif replace_other_data is None:
        done = ask(roll_back_version, tell=Console(), **named)
    else:
        done = ask(promote_version, tell=Console(), **named, replace_other_data=replace_other_data)
    _tell_promoted(plan, done, as_json=as_json)


def _tell_promoted(plan: "PromotionPlan", done: "Deployment", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"plan": plan.model_dump(mode="json"), "changed": not plan.serves, **done.model_dump(mode="json")}))
        return
    print(visible(f"{done.name} version {done.version} serves at {done.address}, {done.golden} golden queries answered"))


def _model(name: str) -> str:
    from serving.registry.models import choose_model

    return choose_model(Environment().mlflow_uri, name)


def _show(plan: "PromotionPlan") -> None:
    """The plan on standard error, a line for each thing that changes."""
    now = f"version {plan.serving.version}" if plan.serving else "nothing"
    say(visible(f"{plan.model}: {now} serves, version {plan.wanted.version} is to serve (release {plan.wanted.release})"))
    for name, figure in plan.figures.items():
        say(visible(f"  {name:<24} {figure_text(figure)}"))
    if plan.data:
        other = " (another data set)" if plan.other_data else ""
        say(visible(f"  data                     {plan.data.before or 'none'} -> {plan.data.after}{other}"))
    for name, setting in plan.settings.items():
        say(visible(f"  {name:<24} {setting.before or 'unset'} -> {setting.after or 'unset'}"))
    if plan.unsigned:
        say("  signature                none, and one is asked for: it will be refused; sign it first: glocal sign")
    if not plan.same_space:
        say("  embedding space          another: vectors and scores that callers keep cannot be compared with the new ones;")
        say("                           the version brings the gallery of its own space")


def figure_text(figure: "FigureChange") -> str:
    """A figure of two versions and its difference, for people."""
    before, after = (f"{value:.4g}" if value is not None else "none" for value in (figure.before, figure.after))
    if figure.before is None or figure.after is None:
        return f"{before} -> {after}"
    return f"{before} -> {after} ({figure.after - figure.before:+.4g})"
