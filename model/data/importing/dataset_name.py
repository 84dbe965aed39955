"""Names of data sets, and references to versions that were imported before."""

import contextlib
from pathlib import Path

from model.data.importing.object_store import SCHEMES
from model.schemas.data_pin import DATASET_NAME

TABLE_SUFFIXES = (".csv", ".tsv")
"""Suffixes of a table of samples, in lower case."""
_GENERIC = {"images", "data", "/"}
"""Folder names that do not say what is in the folder."""
_LONGEST = 64


def default_name(source: str) -> str:
    """A data set's name from its source: the name of the folder, or of the parent where the folder's name is generic.

    A CSV is named after its folder. The name has no dots, as the names of models have none.
    """
    if is_reference(source):
        return source.split("@", maxsplit=1)[0]
    parts = [part for part in _folder(source).parts if part not in _GENERIC]
    last = parts[-1] if parts else ""
    name = "".join(letter if letter != "." and DATASET_NAME.fullmatch(f"x{letter}") else "-" for letter in last)
    return name.strip("-")[:_LONGEST] or "data"


def own_name(source: str) -> str:
    """The source's own name: that of its folder, or the data set's in `name@revision`."""
    return source.split("@", maxsplit=1)[0] if is_reference(source) else _folder(source).name


def changed_name(source: str) -> str:
    """What a person is told of a default name that differs from the source's own; empty where it does not."""
    name = default_name(source)
    return "" if name == own_name(source) else f"The data set is called {name}, after {source}. Another name: --name NAME."


def is_reference(source: str) -> bool:
    """Whether a source is `name@revision`, a version that was imported before, and not a folder of that name."""
    name, at, _ = source.partition("@")
    if not at or source.startswith(SCHEMES) or not DATASET_NAME.fullmatch(name):
        return False
    with contextlib.suppress(OSError):  # a name too long for a file
        return not Path(source).exists()
    return True


def _folder(source: str) -> Path:
    """The folder of a source: the parent of a CSV."""
    path = Path(source).absolute()
    if path.name in {"", ".."}:  # such as `..`, which names no folder
        path = path.resolve()
    return path.parent if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir() else path
