"""The check that a champion is not replaced by a model of another data set unless a setting allows it."""

from model.errors import Conflict
from model.schemas.data_pin import DataPin
from model.schemas.model_version import ModelVersion
from serving.registry.models import Registry


def refuse_other_data(registry: Registry, pin: DataPin, *, allowed: bool) -> None:
    """Refuse a release whose data set has another name than that of the champion.

    Args:
        registry: The registered model.
        pin: The data of the release.
        allowed: Whether the champion may be replaced by a model of another data set.

    Raises:
        Conflict: The champion was made from another data set.
    """
    champion = registry.champion()
    if champion is not None and not allowed and registry.data_name(champion) != pin.path:
        raise other_data(champion, registry.data_of(champion), pin.named)


def other_data(champion: ModelVersion, trained_on: str, data: str) -> Conflict:
    """The error of a champion that was trained on another data set than what is to replace it; empty data are unknown."""
    return Conflict(
        f"The champion of {champion.model} is version {champion.version}, trained on {trained_on or 'unknown data'}; "
        f"the data here are {data or 'unknown'}.",
        "Register the model under another name with serve.name. To replace it: serve.replace_other_data=true for a run, "
        "--replace-other-data for glocal promote and glocal approve.",
    )
