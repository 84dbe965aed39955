"""The comparison of an import's source with that of the data set's last version: two sources may have the same name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model.data.importing.object_store import SCHEMES
from model.data.versions.fetch import stored_classes
from model.errors import InvalidInput
from model.home import DataStore
from model.redaction import redacted
from model.schemas.data_pin import DataPin
from model.text import excerpt

SOURCE = "source"
"""Field of an import's record with the source's absolute path or address. Records of earlier releases do not have it."""
_NAME_IT = "--name NAME"


def stated_source(source: str, csv: Path | None) -> str:
    """The absolute path of a source's folder or CSV, or its address, as the record of an import states it."""
    return redacted(source) if source.startswith(SCHEMES) else str((csv or Path(source)).resolve())


def other_source(
    store: DataStore, known: tuple[DataPin, dict[str, Any]], source: str, classes: Iterable[str], *, named: bool
) -> str:
    """The source of the data set's last version if it is another one than `source`; else empty.

    Args:
        store: Store that keeps the versions.
        known: Pin and record of the last version.
        source: Source of this import, see `stated_source`.
        classes: Names of the classes of this import.
        named: Whether a person chose the name of the data set.

    Raises:
        InvalidInput: The sources have no class in common, and the name is only a default.
    """
    pin, record = known
    earlier = str(record.get(SOURCE, ""))
    if not earlier or earlier == source:
        return ""
    before, now = stored_classes(store, pin), set(classes)
    if not named and before and now and not before & now:
        headline = f"The data set {pin.path} came from {excerpt(earlier)} and has no class in common with {excerpt(source)}."
        raise InvalidInput(headline, f"Name this one otherwise: {_NAME_IT}. With --name {pin.path} it becomes the next version.")
    return earlier


def warning(name: str, earlier: str, *, named: bool) -> str:
    """The line that a person is shown where a version came from another source than the one before.

    Args:
        name: Name of the data set.
        earlier: Source of the version before.
        named: Whether a person chose the name: the line then says what was done, and advises no other name.
    """
    if named:
        return f"the data set {name} came from {excerpt(earlier)} before; with --name {name} this is its next version."
    return f"the data set {name} came from {excerpt(earlier)} before. If this is other data, name it otherwise: {_NAME_IT}."
