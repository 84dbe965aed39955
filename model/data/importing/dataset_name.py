"""Names of data sets, and references to versions that were imported before."""

import contextlib
import re
import unicodedata
from pathlib import Path

from model.data.importing.object_store import SCHEMES
from model.errors import InvalidInput
from model.schemas.data_pin import DATASET_NAME

TABLE_SUFFIXES = (".csv", ".tsv")
"""Suffixes of a table of samples, in lower case."""
_GENERIC = {"images", "data", "/"}
"""Folder names that do not say what is in the folder."""
_LONGEST = 64


def default_name(source: str) -> str:
    """A data set's name from its source: the name of the folder, or of the parent where the folder's name is generic.

    A CSV is named after its folder. Accents are left out; what remains and cannot be in a name, such as a dot, is a dash.

    Raises:
        InvalidInput: Nothing of the folder's name remains.
    """
    if is_reference(source):
        return source.split("@", maxsplit=1)[0]
    parts = [part for part in _folder(source).parts if part not in _GENERIC]
    if not parts:
        return "data"
    name = _plain(parts[-1])
    if not name:
        headline = f"The folder's name {parts[-1]} has no letter or digit that the name of a data set may have."
        raise InvalidInput(headline, "Name the data set: --name NAME, with A-Z a-z 0-9 _ -.")
    return name


def own_name(source: str) -> str:
    """The source's own name: that of its folder, or the data set's in `name@revision`."""
    return source.split("@", maxsplit=1)[0] if is_reference(source) else _folder(source).name


def changed_name(source: str) -> str:
    """What a person is told of a default name that differs from the source's own; empty where it does not.

    Raises:
        InvalidInput: Nothing of the folder's name remains.
    """
    name = default_name(source)
    return "" if name == own_name(source) else f"The data set is called {name}, after {source}. Another name: --name NAME."


def is_there(source: str) -> bool:
    """Whether a source is an address, a version that was imported before, or a file or folder that exists."""
    with contextlib.suppress(OSError):  # a name too long for a file
        return source.startswith(SCHEMES) or is_reference(source) or Path(source).exists()
    return False


def is_reference(source: str) -> bool:
    """Whether a source is `name@revision`, a version that was imported before, and not a folder of that name."""
    name, at, _ = source.partition("@")
    if not at or source.startswith(SCHEMES) or not DATASET_NAME.fullmatch(name):
        return False
    with contextlib.suppress(OSError):  # a name too long for a file
        return not Path(source).exists()
    return True


def _plain(text: str) -> str:
    """A folder's name with the letters that a data set's name may have: `Fotos ümlaut` is `Fotos-umlaut`."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    name = "".join(letter if letter != "." and DATASET_NAME.fullmatch(f"x{letter}") else "-" for letter in letters)
    return re.sub("-+", "-", name).strip("-")[:_LONGEST].rstrip("-")


def _folder(source: str) -> Path:
    """The folder of a source: the parent of a CSV."""
    path = Path(source).absolute()
    if path.name in {"", ".."}:  # such as `..`, which names no folder
        path = path.resolve()
    return path.parent if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir() else path
