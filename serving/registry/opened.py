"""The record of runs, opened once in a process: what opens it checks the whole database."""

from contextlib import suppress
from functools import lru_cache

from model.environment import Environment
from model.errors import GlocalError
from serving.registry.database import check_database
from serving.registry.runs import Runs
from serving.registry.store import refuse_lost_records, sqlite_file


def run_records(environment: Environment) -> Runs | None:
    """The record of runs; None if nothing was recorded yet, as in a new home.

    Raises:
        StorageFailed: The database is lost or damaged.
        Unavailable: The store cannot be opened.
    """
    uri = environment.mlflow_uri
    if (file := sqlite_file(uri)) is None:
        return _opened(uri, 0)
    if not file.exists():
        refuse_lost_records(uri, environment.home)
        return None
    check_database(file, is_read=True)
    return _opened(uri, file.stat().st_ino)


@lru_cache(maxsize=4)
def _opened(uri: str, _inode: int) -> Runs:
    """The record at an address; another file there is another record."""
    return Runs(uri)


def warm_up(environment: Environment) -> None:
    """Open the record before the first request does; what is wrong with it is said to whoever asks."""
    with suppress(GlocalError, OSError):
        run_records(environment)
