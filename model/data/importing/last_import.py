"""What the last import of a data set found, refused or not."""

from dataclasses import dataclass

from model.data.importing.findings import Finding
from model.files import read_json
from model.home import DataStore


@dataclass(frozen=True)
class LastImport:
    """What the last import of a name found.

    Attributes:
        at: When it ended, in seconds since 1970.
        defects: Reasons for which it was refused; none if it was not.
        warnings: What a person should look at.
    """

    at: float
    defects: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def last_import(store: DataStore, name: str) -> LastImport | None:
    """What the last import of a name found; None if that is not on record, or damaged."""
    file = store.reports / f"{name}.json"
    try:
        found = dict(read_json(file))
        defects, warnings = (tuple(Finding(**each) for each in found.get(kind, ())) for kind in ("defects", "warnings"))
        return LastImport(file.stat().st_mtime, defects, warnings)
    except (OSError, ValueError, TypeError):
        return None
