"""The check that a champion is not replaced by a model of another data set unless a setting allows it."""

from model.errors import Conflict
from model.schemas.data_pin import DataPin
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
    if champion is None or allowed:
        return
    name = registry.data_name(champion)
    if name != pin.path:
        revision = f"@{champion.data_rev[:7]}" if champion.data_rev else ""
        raise Conflict(
            f"The champion of {registry.name} is version {champion.version}, trained on {name or 'unknown data'}{revision}; "
            f"the data here are {pin.named}.",
            "Register the model under another name with serve.name. To replace it: serve.replace_other_data=true for a run, "
            "--replace-other-data for glocal promote and glocal approve.",
        )
