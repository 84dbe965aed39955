"""What the endpoint serves, beside what the registry says. Nothing is put right here: `glocal serve status` does that."""

from dataclasses import dataclass

from model.schemas.challenge import ServedChallenger
from model.schemas.status import ServerStatus

_START = "glocal serve start brings back what was champion."
_SETTLE = "glocal serve status says why, and puts right what it can."


@dataclass(frozen=True)
class Serving:
    """What answers the queries of a model.

    Attributes:
        version: The version; None if none does.
        agrees: Whether it is the champion.
        text: The same as a sentence.
        hint: What to do; empty if nothing is to be done.
        challenger: The version that is tried beside it; None if there is none.
    """

    version: str | None
    agrees: bool
    text: str
    hint: str
    challenger: ServedChallenger | None


def serving_of(status: ServerStatus, name: str, champion: str | None) -> Serving:
    """What the endpoint serves of a model.

    Args:
        status: The endpoint.
        name: Name of the model.
        champion: Its champion; None if there is none.
    """
    served = status.models.get(name)
    version = served.default if served is not None and served.ready else None
    text, hint = _said(status, version, champion, loaded=served is not None)
    return Serving(version, version == champion, text, hint, status.challengers.get(name))


def _said(status: ServerStatus, version: str | None, champion: str | None, *, loaded: bool) -> tuple[str, str]:
    if version is not None and version == champion:
        return f"Version {version} serves.", ""
    if version is not None:
        other = f"the champion is version {champion}" if champion else "no version is champion"
        return f"The endpoint serves version {version}, and {other}.", _SETTLE
    if champion is None:
        return "No version of it serves yet.", ""
    if not status.running:
        return "The endpoint does not run: nobody is answered.", _START
    if status.state == "deaf":
        return "The endpoint does not answer.", _START
    said = "It is loaded, and none of its workers answers" if loaded else "The endpoint does not serve it"
    return f"{said}; the champion is version {champion}.", _SETTLE
