"""What a promotion or a rollback would change. Nothing is changed here."""

from collections.abc import Mapping

from model.errors import Conflict, NotFound
from model.schemas.model_version import ModelVersion
from model.schemas.promotion_plan import FigureChange, PromotionPlan, TextChange
from serving.evidence import run_of, trained_version
from serving.registry.models import Registry
from serving.registry.runs import Runs
from serving.signatures import must_be_signed


def plan_promotion(tracking_uri: str, name: str, version: str) -> PromotionPlan:
    """A version beside the champion.

    Raises:
        NotFound: There is no such version.
    """
    registry = Registry(tracking_uri, name)
    wanted, serving = registry.version(version), registry.champion()
    return PromotionPlan(
        model=name,
        serving=serving,
        wanted=wanted,
        figures=changed_figures(serving, wanted),
        data=changed_text(registry.data_of(serving) if serving else "", registry.data_of(wanted)),
        other_data=serving is not None and registry.data_name(serving) != registry.data_name(wanted),
        settings=changed_settings(registry, Runs(tracking_uri), serving, wanted),
        same_space=serving is None or serving.embedding_space_id == wanted.embedding_space_id,
        unsigned=must_be_signed() and not registry.files.signature(version),
        serves=serving is not None and serving.version == wanted.version,
    )


def plan_rollback(tracking_uri: str, name: str) -> PromotionPlan:
    """The version that served before the champion, beside the champion.

    Raises:
        NotFound: There is none.
        Conflict: Another version was promoted meanwhile.
    """
    registry = Registry(tracking_uri, name)
    version = registry.alias("previous")
    if version is None:
        raise NotFound(f"No version of {name} served before the one that serves.", f"Its versions: glocal models {name}.")
    plan = plan_promotion(tracking_uri, name, version)
    if registry.alias("previous") != version:
        raise Conflict(f"Another version of {name} was promoted meanwhile.", "The same command again starts from there.")
    return plan


def changed_figures(before: ModelVersion | None, after: ModelVersion) -> dict[str, FigureChange]:
    """The figures of two versions by name, each as its own report has it."""
    figures: Mapping[str, float] = before.figures if before else {}
    names = [*after.figures, *(name for name in figures if name not in after.figures)]
    return {name: FigureChange(before=figures.get(name), after=after.figures.get(name)) for name in names}


def changed_settings(registry: Registry, runs: Runs, before: ModelVersion | None, after: ModelVersion) -> dict[str, TextChange]:
    """The settings that differ between the runs that trained two versions, by name; none if a run is not on record."""
    one, other = (_params(registry, runs, version) for version in (before, after))
    changed = {name: changed_text(one.get(name, ""), other.get(name, "")) for name in sorted(one.keys() | other.keys())}
    return {name: change for name, change in changed.items() if change and one and other}


def changed_text(before: str, after: str) -> TextChange | None:
    """A text of two versions; None if they have the same."""
    return TextChange(before=before, after=after) if before != after else None


def _params(registry: Registry, runs: Runs, version: ModelVersion | None) -> Mapping[str, str]:
    """The settings of the run that trained a version; empty if that run, or a version it was made from, is not on record."""
    if version is None:
        return {}
    try:
        run = run_of(runs, trained_version(registry, version))
    except NotFound:
        return {}
    return run.params if run else {}
