"""What served when: the history of promotions, read from the ledger and checked against its file."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from model.errors import GlocalError, InvalidInput
from model.home import Home
from model.schemas.promotion import Promotion, Service
from serving.archive import verify_archive
from serving.deployment import serving_place
from serving.registry.ledger import read_ledger
from serving.registry.ledger_file import LedgerFile
from serving.registry.models import registered_versions
from serving.rollout.challengers import on_record


def read_history(tracking_uri: str, *, name: str = "", version: str = "") -> list[Promotion]:
    """The attempts to change what serves, oldest first.

    Args:
        tracking_uri: Address of the registry.
        name: Name of a model; empty: of all models.
        version: Number of a version; empty: of all versions.
    """
    return read_ledger(tracking_uri, model=name, version=version)


def kept_history(home: Home) -> list[Promotion]:
    """What the ledger's file of a home has of its history, oldest first, where MLflow cannot be asked."""
    return sorted(LedgerFile(home.ledger).entries().values(), key=lambda entry: entry.when)


def served_at(history: Sequence[Promotion], moment: datetime) -> list[Promotion]:
    """The promotions by which each model served at a moment, in the order of the models' names.

    Args:
        history: Attempts of any models, oldest first.
        moment: The moment, with its time zone.
    """
    at, found = round(1000 * moment.timestamp()), list[Promotion]()
    for spans in services(history).values():
        found += [span.promotion for span in spans if span.begun <= at and (span.ended is None or at < span.ended)]
    return found


def services(history: Iterable[Promotion]) -> dict[str, list[Service]]:
    """The time spans in which versions served, oldest first, by the name of their model.

    Args:
        history: Attempts of any models.
    """
    found: dict[str, list[Service]] = {}
    for entry in sorted(history, key=lambda entry: entry.ended or entry.when):
        if entry.outcome == "promoted":
            since = entry.ended or entry.when
            spans = found.setdefault(entry.model, [])
            if spans:
                spans[-1] = spans[-1].model_copy(update={"ended": since})
            spans.append(Service(version=entry.version, begun=since, ended=None, promotion=entry))
    return {name: found[name] for name in sorted(found)}


def history_faults(home: Home, tracking_uri: str) -> list[str]:
    """What was changed in the history of a home, in sentences: in its ledger's file, or in MLflow."""

    def recorded() -> Iterator[Promotion]:
        place = serving_place(home)
        yield from (entry for entry in read_ledger(tracking_uri) if entry.place in {"", place})

    return LedgerFile(home.ledger).faults(recorded())


def release_faults(home: Home, tracking_uri: str) -> list[str]:
    """What was changed in the releases of registered versions, and in the archives that serve, in sentences."""
    found = list[str]()
    for registry, version in registered_versions(tracking_uri):
        if not version.removed:
            try:
                registry.files.check(version.version)
            except GlocalError as error:
                found.append(f"The stored release of {version.label} is not whole: {error.headline}")
    for name, entry in on_record(home.serve):
        try:
            verify_archive(home.serve.store / entry.archive, entry.sha256)
        except GlocalError as error:
            found.append(f"What serves as {name} {entry.version} would not come back: {error.headline}")
    return found


def refuse_changed_history(home: Home, tracking_uri: str) -> None:
    """Refuse to add to a history that was changed.

    Raises:
        InvalidInput: The ledger's file and MLflow do not fit; the message names the first fault.
    """
    refuse_faults(home, history_faults(home, tracking_uri))


def refuse_faults(home: Home, faults: Sequence[str]) -> None:
    """Refuse a history with faults that `history_faults` found; raises as `refuse_changed_history`."""
    if faults:
        more = f" {len(faults) - 1} more." if len(faults) > 1 else ""
        remedy = (
            f"glocal history --verify lists all. Restore {home.ledger} and MLflow from copies of one moment. "
            "If MLflow began anew: move the file away."
        )
        raise InvalidInput(f"The history of promotions was changed: {faults[0]}{more}", remedy)
