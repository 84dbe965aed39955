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
from model.home import Home, ServeFolder

_WAIT_S = 30.0


def check_not_lost(file: Path, serve: ServeFolder, *, needed: bool = False) -> None:
    """Refuse a file that is not there although it had records.

    A new file would number its versions from 1 again, and the versions on record as serving have these numbers already.

    Args:
        file: The SQLite file.
        serve: Folder of the endpoint. What is deployed or stored there refers to the records, as files of runs do.
        needed: Whether something else refers to the records.

    Raises:
        StorageFailed: The file is missing; the hint names both remedies.
    """
    if os.path.lexists(file):
        return
    if file.with_name("mlartifacts").exists():
        raise StorageFailed(f"{file} is missing, and files of the runs that it recorded are still there.", _remedies(file, serve))
    if needed or os.path.lexists(serve.deployed) or any(serve.store.glob("*.mar")):
        raise StorageFailed(f"{file} is missing, and files in GLOCAL_HOME refer to its records.", _remedies(file, serve))


def check_database(file: Path, *, is_read: bool = False) -> None:
    """Refuse a file that is no SQLite database, is damaged, or cannot be written to. A file that is not there is made later.

    Args:
        file: The SQLite file.
        is_read: Whether it is only to be read, and need not be writable.

    Raises:
        StorageFailed: The file cannot be used; the hint says what to do.
    """
    if not file.exists() and not file.is_symlink():
        return
    remedies = _remedies(file, Home(file.parent).serve)
    if not file.is_file():
        raise StorageFailed(f"{file} is {'a folder' if file.is_dir() else 'a link to nothing'} and no database.", remedies)
    if file.stat().st_size == 0 and file.with_name("mlartifacts").exists():
        raise StorageFailed(f"{file} is empty, and files of the runs that it recorded are still there.", remedies)
    if not is_read:
        check_writable(file)
    try:
        # rw also where it is only read: SQLite rolls back what a killed writer left, and falls back to reading where it must
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=_WAIT_S)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if not error.sqlite_errorname.startswith("SQLITE_BUSY"):  # another process writes: the file is in use, and not damaged
            raise StorageFailed(f"{file} is damaged: {error}.", remedies) from error


def _remedies(file: Path, serve: ServeFolder) -> str:
    """Both ways on from a database that is lost or damaged: a backup, or new records without what refers to the old ones."""
    ledger = Home(serve.root.parent).ledger
    referring = [str(each) for each in (file, serve.root, file.with_name("mlartifacts"), ledger) if os.path.lexists(each)]
    anew = f"glocal serve stop, then move {' and '.join(referring)} away" if referring else "glocal serve stop"
    return f"Restore it from a backup. Without one: {anew}; the next run begins new records."
