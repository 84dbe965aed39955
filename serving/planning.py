"""What a promotion or a rollback would change. Nothing is changed here."""

from collections.abc import Mapping

from model.errors import Conflict, NotFound
from model.schemas.model_version import ModelVersion
from model.schemas.promotion_plan import FigureChange, PromotionPlan, TextChange
from serving.registry.models import Registry
from serving.registry.runs import Runs


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
        figures=_figures(serving, wanted),
        data=_changed(_data(serving), _data(wanted)),
        other_data=serving is not None and registry.data_name(serving) != registry.data_name(wanted),
        settings=_settings(tracking_uri, serving, wanted),
        same_space=serving is None or serving.embedding_space_id == wanted.embedding_space_id,
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


def _figures(serving: ModelVersion | None, wanted: ModelVersion) -> dict[str, FigureChange]:
    before: Mapping[str, float] = serving.figures if serving else {}
    names = [*wanted.figures, *(name for name in before if name not in wanted.figures)]
    return {name: FigureChange(before=before.get(name), after=wanted.figures.get(name)) for name in names}


def _settings(tracking_uri: str, serving: ModelVersion | None, wanted: ModelVersion) -> dict[str, TextChange]:
    before, after = (_params(tracking_uri, version) for version in (serving, wanted))
    changed = {name: _changed(before.get(name, ""), after.get(name, "")) for name in sorted(before.keys() | after.keys())}
    return {name: change for name, change in changed.items() if change and before and after}


def _params(tracking_uri: str, version: ModelVersion | None) -> Mapping[str, str]:
    """The settings of the run that made a version; empty if that run is not on record."""
    if version is None or not version.run_id:
        return {}
    try:
        return Runs(tracking_uri).run(version.run_id).params
    except NotFound:
        return {}


def _data(version: ModelVersion | None) -> str:
    return f"{version.data_name}@{version.data_rev[:7]}" if version and version.data_name else ""


def _changed(before: str, after: str) -> TextChange | None:
    return TextChange(before=before, after=after) if before != after else None
