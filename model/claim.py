"""Whose a folder is: Glocal marks its home at the first use that writes, and takes no folder that holds a user's own files.

Every function that writes into a home calls `claim` first. What only reads (`status`, `list`) does not, and makes nothing.
"""

import re
from pathlib import Path

from model.disk import disk_errors
from model.errors import InvalidInput
from model.files import write_text
from model.home import Home

_TEXT = "Glocal keeps its state in this folder. Without this file it writes nothing here.\nlayout 1\n"
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_IDENTITY = "glocal@localhost"


def claim(home: Home) -> Home:
    """Mark `home` as Glocal's, unless it is marked already; called before anything is written into it.

    A folder is taken if it is new or empty, if none of its files bears a name that Glocal uses, or if an earlier version of
    Glocal made it.

    Raises:
        InvalidInput: The folder holds files under names that Glocal uses, and Glocal did not make them.
        StorageFailed: The folder cannot be written to.
    """
    with disk_errors(home.root):
        if home.marker.is_file():
            return home
        if home.root.exists() and not home.root.is_dir():
            raise InvalidInput(f"GLOCAL_HOME is {home.root}, which is a file.", "Set GLOCAL_HOME to an empty folder.")
        if foreign := _taken(home):
            headline = f"{home.root} holds files that are not Glocal's, under names that it uses: {', '.join(foreign)}."
            raise InvalidInput(headline, "Set GLOCAL_HOME to an empty folder. Nothing was changed.")
        write_text(home.marker, _TEXT)
    return home


def _taken(home: Home) -> list[str]:
    """The names in `home` that Glocal uses; none if an earlier Glocal made them."""
    present = {entry.name for entry in home.root.iterdir()} if home.root.is_dir() else set()
    used = sorted(present & home.names)
    return used if used and not made_before_markers(home) else []


def made_before_markers(home: Home) -> bool:
    """Whether a Glocal that knew no markers made this home: only it leaves such runs, such a server, such a repository."""
    runs = (folder for folder in home.runs.glob("*") if _RUN.fullmatch(folder.name))
    if any((folder / "alive").is_file() or (folder / "run.json").is_file() for folder in runs):
        return True
    if home.serve.config.is_file() and f"model_store={home.serve.store}" in _text(home.serve.config):
        return True
    git, dvc = (_text(home.data.repo / folder / "config") for folder in (".git", ".dvc"))
    return _IDENTITY in git and "remote = storage" in dvc


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
