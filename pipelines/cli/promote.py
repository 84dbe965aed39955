"""`glocal promote` and `glocal rollback`: another version serves, after a look at what changes."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from model.environment import Environment
from model.errors import InvalidInput
from model.text import visible
from pipelines.cli.console import confirm, say
from pipelines.cli.models import one_model
from pipelines.cli.options import DryRun, Json, ModelName, Yes

if TYPE_CHECKING:
    from model.schemas.promotion_plan import FigureChange, PromotionPlan

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
    from serving.planning import plan_promotion

    plan = plan_promotion(Environment().mlflow_uri, one_model(name), version)
    # a person who is asked has read which data are replaced
    _change(plan, why, dry_run=dry_run, yes=yes, replace_other_data=replace_other_data or not yes, as_json=as_json)


def rollback(why: Why, name: ModelName = "", dry_run: DryRun = False, yes: Yes = False, as_json: Json = False) -> None:
    """Bring back the version that served before."""
    from serving.planning import plan_rollback

    plan = plan_rollback(Environment().mlflow_uri, one_model(name))
    _change(plan, why, dry_run=dry_run, yes=yes, replace_other_data=True, as_json=as_json)  # it served before


def _change(plan: "PromotionPlan", why: str, *, dry_run: bool, yes: bool, replace_other_data: bool, as_json: bool) -> None:
    if not why.strip():
        raise InvalidInput("A promotion needs a reason.", "Say why it should serve: --why 'better on birds'.")
    environment = Environment()
    _show(plan)
    if dry_run:
        print(json.dumps({"plan": plan.model_dump(mode="json"), "changed": False}) if as_json else "nothing was changed")
        return
    confirm(f"Let version {plan.wanted.version} of {plan.model} serve?", yes=yes)
    from serving.promotion import promote as make_it_serve

    done = make_it_serve(
        plan.wanted.version,
        home=environment.home,
        tracking_uri=environment.mlflow_uri,
        name=plan.model,
        why=why,
        replace_other_data=replace_other_data,
        instead_of=plan.serving.version if plan.serving else "",
    )
    if as_json:
        print(json.dumps({"plan": plan.model_dump(mode="json"), "changed": not plan.serves, **done.model_dump(mode="json")}))
        return
    print(visible(f"{done.name} version {done.version} serves at {done.address}, {done.golden} golden queries answered"))


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
    if not plan.same_space:
        say("  embedding space          another: vectors and scores that callers keep cannot be compared with the new ones;")
        say("                           the version brings the gallery of its own space")


def figure_text(figure: "FigureChange") -> str:
    """A figure of two versions and its difference, for people."""
    before, after = (f"{value:.4g}" if value is not None else "none" for value in (figure.before, figure.after))
    if figure.before is None or figure.after is None:
        return f"{before} -> {after}"
    return f"{before} -> {after} ({figure.after - figure.before:+.4g})"
