"""What a data set is called unless a person names it."""

from pathlib import Path

from model.schemas.data_pin import NAME

_GENERIC = {"images", "data", "/"}
"""Folder names that do not say what is in the folder."""
_LONGEST = 64


def default_name(source: str) -> str:
    """A data set's name from where it lies: the name of its folder, or of the parent where that is generic."""
    if is_version(source):
        return source.split("@", maxsplit=1)[0]
    parts = [part for part in Path(source).absolute().parts if part not in _GENERIC]
    last = parts[-1] if parts else ""
    name = "".join(letter if NAME.fullmatch(f"x{letter}") else "-" for letter in last)
    return name.strip(".-")[:_LONGEST] or "data"


def own_name(source: str) -> str:
    """The name that the source has itself: of its folder or file, or of the data set in `name@revision`."""
    return source.split("@", maxsplit=1)[0] if is_version(source) else Path(source).absolute().name


def is_version(source: str) -> bool:
    """Whether a source is `name@revision`, and no folder of that name."""
    return "@" in source and not Path(source).exists()
