"""DVC, opened without the user's own settings, and with its errors translated into Glocal's."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.data.versions.git_command import CREDENTIALS, NO_SETTINGS
from model.disk import disk_error, full_place, no_room
from model.environment import current_user
from model.errors import GlocalError, NotFound, Unavailable
from model.home import DataStore

_ALONE = threading.RLock()
"""Lock that is held while DVC runs, because the environment of the process is changed for it."""
_NO_GIT = {"core": {"no_scm": True}}
"""DVC runs without git: Glocal decides which DVC files are committed."""


@contextmanager
def open_dvc(store: DataStore) -> Iterator[Any]:
    """DVC's Repo of the data repository."""
    with dvc_class(store) as repo_class, repo_class(str(store.repo), config=_NO_GIT) as dvc:
        yield dvc


@contextmanager
def dvc_class(store: DataStore, missing: str = "", *, shared: bool = False) -> Iterator[Any]:
    """DVC's Repo class for the block, quiet and without the user's settings.

    Args:
        store: The store.
        missing: Headline of the error if a file is missing.
        shared: Whether a git repository elsewhere is read, with the user's credentials.
    """
    with _ALONE, _environment(store, shared), _explained(store, missing):
        import pygit2
        from dvc.repo import Repo

        for name in ("dvc", "dvc_data", "dvc_objects"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        pygit2.settings.owner_validation = shared  # like git's safe.directory: another account may own our repository
        try:
            yield Repo
        finally:
            pygit2.settings.owner_validation = True


@contextmanager
def _environment(store: DataStore, shared: bool) -> Iterator[None]:
    """Remove every variable that DVC and git read, and name settings files that do not exist."""
    before = dict(os.environ)
    nowhere = str(store.site / "no-settings")
    own = {
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": nowhere,
        "DVC_SYSTEM_CONFIG_DIR": nowhere,
        "DVC_SITE_CACHE_DIR": str(store.site.absolute()),
        "LOGNAME": current_user(),  # DVC asks for a name even if the user has none
        **({} if shared else NO_SETTINGS),
    }
    for name in before:
        if name.startswith(("DVC_", "GIT_")) and name not in CREDENTIALS:
            del os.environ[name]
    os.environ.update(own)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(("DVC_", "GIT_")) or name in own]:
            if name not in before:
                del os.environ[name]
        os.environ.update({name: before[name] for name in before if os.environ.get(name) != before[name]})


@contextmanager
def _explained(store: DataStore, missing: str) -> Iterator[None]:
    """Translate the errors of DVC and of the stores that it writes to."""
    from botocore.exceptions import BotoCoreError, ClientError
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError
    from dvc_data.index import DataIndexDirError
    from dvc_objects.fs.errors import RemoteMissingDepsError

    ours = (DvcException, SCMError, DataIndexDirError, RemoteMissingDepsError, OSError, sqlite3.Error, BotoCoreError, ClientError)
    places = _places(store)
    try:
        yield
    except GlocalError:
        raise
    except Exception as error:
        if explained := disk_error(error, *places):
            raise explained from error
        if not isinstance(error, ours):
            raise
        if full := full_place(*places):  # DVC counts the files that failed and states no reason
            raise no_room(full) from error
        if _is_absence(error):
            raise NotFound(missing or f"DVC misses a file: {error}.", "Restore the remote, or import the data again.") from error
        raise Unavailable(f"The data store failed: {error}", "Check the remote and its credentials, and try again.") from error


def _places(store: DataStore) -> tuple[Path, ...]:
    return (store.repo, store.remote, store.home.datasets)


def _is_absence(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is that a file is missing."""
    while error is not None and not isinstance(error, FileNotFoundError | NotADirectoryError):
        error = error.__cause__
    return error is not None
