"""The claim of a home: Glocal marks the folder at the first use that writes, and refuses one with a user's own files.

Every function that writes into a home calls `claim` first. Functions that only read, such as `status`, do not.
"""

import re
from pathlib import Path

from model.disk import check_writable, disk_errors
from model.environment import prepare_process
from model.errors import InvalidInput, StorageFailed
from model.files import write_text
from model.home import ALIVE, BEGUN, Home

_TEXT = "Glocal keeps its state in this folder. Without this file it writes nothing here.\nlayout 1\n"
_MOVE_IT = "Move it away, or set GLOCAL_HOME to another folder; then repeat the command."
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


def claim(home: Home) -> Home:
    """Mark `home` as Glocal's unless it is marked, and prepare the process: see `model.environment.prepare_process`.

    A folder is accepted if it is new or empty, if none of its files has a name that Glocal uses, or if an earlier version of
    Glocal made it.

    Raises:
        InvalidInput: The path cannot be used, a file lies in the place of a folder, or files that Glocal did not make lie under
            names that it uses.
        StorageFailed: The folder cannot be written to.
    """
    _check_path(str(home.root))
    with disk_errors(home.root):
        if not home.marker.is_file():
            _mark(home)
        check_folders(home, *home.folders)
        check_writable(home.root)
        prepare_process(home)
    return home


def _check_path(path: str) -> None:
    """Refuse a path that DVC or the server's settings would read as another path."""
    if not path.isprintable() or "\\" in path:  # this includes bytes that are no UTF-8
        shown = path.encode("utf-8", "backslashreplace").decode().encode("unicode_escape").decode("ascii")
        headline = f"The path of GLOCAL_HOME holds a backslash, a control character or bytes that are no text: {shown}"
        raise InvalidInput(headline, "Set GLOCAL_HOME to a folder with another name.")


def _mark(home: Home) -> None:
    check_folders(home)
    if foreign := _taken(home):
        headline = f"{home.root} holds files that are not Glocal's, under names that it uses: {', '.join(foreign)}."
        raise InvalidInput(headline, "Set GLOCAL_HOME to an empty folder. Nothing was changed.")
    _make(home.root)
    write_text(home.marker, _TEXT)


def _make(root: Path) -> None:
    """Make the folder of the home, or say which folder does not let this user make it.

    Raises:
        StorageFailed: The home, or the folder that it would be made in, cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        closed = next(folder for folder in root.parents if folder.exists())
        hint = f"Change the permissions of {closed}, or set GLOCAL_HOME to a folder that this user can write to."
        raise StorageFailed(f"{root} cannot be made: this user may not write to {closed}.", hint) from error
    check_writable(root)


def check_folders(home: Home, *folders: Path) -> None:
    """Refuse a file, or a link to nothing, in the place of the home or of one of its folders, before a step fails at it.

    Raises:
        InvalidInput: There is no folder; the message names what is there.
    """
    if home.root.exists() and not home.root.is_dir():
        raise InvalidInput(f"GLOCAL_HOME is {home.root}, which is a file.", "Set GLOCAL_HOME to an empty folder.")
    for folder in folders:
        if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
            what = "a file" if folder.exists() else "a link to nothing"
            raise InvalidInput(f"{folder} is {what}, where Glocal keeps a folder.", _MOVE_IT)


def _taken(home: Home) -> list[str]:
    """The names in `home` that Glocal uses; none if an earlier version of Glocal made the home."""
    present = {entry.name for entry in home.root.iterdir()} if home.root.is_dir() else set()
    used = sorted(present & home.names)
    return used if used and not made_before_markers(home) else []


def made_before_markers(home: Home) -> bool:
    """Whether a version of Glocal without markers made this home, recognised by its runs, its server or its repository."""
    runs = (folder for folder in home.runs.glob("*") if _RUN.fullmatch(folder.name))
    if any((folder / ALIVE).is_file() or (folder / BEGUN).is_file() for folder in runs):
        return True
    if home.serve.config.is_file() and f"model_store={home.serve.store}" in _text(home.serve.config):
        return True
    settings = _text(home.data.repo / ".dvc" / "config")  # a clone of a shared repository has them too
    return "remote = storage" in settings and "url = ../../remote" in settings


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
