"""Check of MLflow's SQLite file before MLflow opens it: a damaged file is named at once, with a hint.

MLflow itself retries a file that it cannot open for minutes, and then shows an error of SQL.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from model.disk import check_writable
from model.errors import StorageFailed

_WAIT_S = 30.0
_RESTORE = "Restore it from a backup, or move it away: the next run begins new records. What serves is not touched."
_RESTORE_LOST = "Restore it from a backup; otherwise the next run begins new records. What serves is not touched."


def check_not_lost(file: Path, *, needed: bool) -> None:
    """Refuse a file that is not there although it had records.

    Args:
        file: The SQLite file.
        needed: Whether something refers to its records. Files of recorded runs beside it count as well.

    Raises:
        StorageFailed: The file is missing.
    """
    if os.path.lexists(file):
        return
    if file.with_name("mlartifacts").exists():
        raise StorageFailed(f"{file} is missing, and files of the runs that it recorded are still there.", _RESTORE_LOST)
    if needed:
        raise StorageFailed(f"{file} is missing, and files in GLOCAL_HOME refer to its records.", _RESTORE_LOST)


def check_database(file: Path) -> None:
    """Refuse a file that is no SQLite database, is damaged, or cannot be written to. A file that is not there is made later.

    Raises:
        StorageFailed: The file cannot be used; the hint says what to do.
    """
    if not file.exists() and not file.is_symlink():
        return
    if not file.is_file():
        raise StorageFailed(f"{file} is {'a folder' if file.is_dir() else 'a link to nothing'} and no database.", _RESTORE)
    if file.stat().st_size == 0 and file.with_name("mlartifacts").exists():
        raise StorageFailed(f"{file} is empty, and files of the runs that it recorded are still there.", _RESTORE)
    check_writable(file)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=_WAIT_S)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if not error.sqlite_errorname.startswith("SQLITE_BUSY"):  # another process writes: the file is in use, and not damaged
            raise StorageFailed(f"{file} is damaged: {error}.", _RESTORE) from error
