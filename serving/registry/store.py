"""MLflow's store, opened: the client, the file of a SQLite store, and the experiments."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from model.disk import disk_error
from model.errors import InvalidInput, NotFound, Unavailable
from model.home import Home
from model.imports import quick_imports
from model.locks import hold
from model.redaction import without_credentials
from serving.registry.database import check_database, check_not_lost

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PAGE = "custom_model_development"
"""Kind of the experiment: MLflow's page opens at its runs, and not at traces of language models."""
_STORE_WAIT_S = 120.0
_made: dict[str, int] = {}
"""The SQLite stores whose tables this process has made or found, each with its file's number in the file system."""
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Codes of MLflow's errors by which it says that it has no such thing."""
_QUIET = {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.ERROR,
}


def open_client(tracking_uri: str) -> "MlflowClient":
    """MLflow's client. The first process that opens a new SQLite store makes its tables.

    Raises:
        StorageFailed: The SQLite file is damaged, is missing although it had records, or cannot be written to.
        Unavailable: The store cannot be opened.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with quick_imports():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

    for name, level in _QUIET.items():  # after the import, which sets its own levels
        logging.getLogger(name).setLevel(level)
    file = sqlite_file(tracking_uri)
    try:
        if file is None:
            client = MlflowClient(tracking_uri, tracking_uri)
            client.search_experiments(max_results=1)  # does it answer?
            return client
        if file.exists() and _made.get(tracking_uri) == file.stat().st_ino:  # it may be read where it cannot be written to
            check_database(file, is_read=True)
            return MlflowClient(tracking_uri, tracking_uri)
        lock = file.with_name(file.name + ".lock")
        busy = "MLflow's store is being made by another process."
        with hold(lock, wait_s=_STORE_WAIT_S, busy=busy), quick_imports():  # it imports SQLAlchemy when it is asked first
            check_not_lost(file, Home(file.parent).serve)
            check_database(file)
            client = MlflowClient(tracking_uri, tracking_uri)
            client.search_experiments(max_results=1)  # makes the tables
            client.search_registered_models(max_results=1)
            _made[tracking_uri] = file.stat().st_ino
            return client
    except (OSError, ImportError, MlflowException) as error:  # ImportError: the driver of a database is missing
        if file is not None and (disk := disk_error(error, file.parent)):
            raise disk from error
        reason = str(error).replace(tracking_uri, without_credentials(tracking_uri)).splitlines()[0][:200]
        raise Unavailable(f"MLflow's store at {without_credentials(tracking_uri)} cannot be opened.", reason) from error


@contextmanager
def answering(tracking_uri: str, *, missing: str = "", hint: str = "") -> Iterator[None]:
    """Raise what MLflow raises in the block as an error of ours.

    Args:
        tracking_uri: Address of the store.
        missing: What is said where MLflow does not have what is asked for; empty: that counts as no answer too.
        hint: What to do then.

    Raises:
        NotFound: MLflow does not have it.
        Unavailable: The store does not answer, or cannot be read.
    """
    try:
        yield
    except Exception as error:
        from mlflow.exceptions import MlflowException  # which is imported by whoever raised it

        if not isinstance(error, MlflowException):
            raise
        if missing and error.error_code in _MISSING:
            raise NotFound(missing, hint) from error
        shown = without_credentials(tracking_uri)
        reason = error.message.replace(tracking_uri, shown).partition("\n")[0][:200]
        raise Unavailable(f"MLflow's store at {shown} does not answer as it should.", reason) from error


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a `sqlite:///` address, else None."""
    address = urlsplit(tracking_uri)
    return Path(unquote(address.path[1:])) if address.scheme.partition("+")[0] == "sqlite" and address.path else None


def is_new(tracking_uri: str) -> bool:
    """Whether the address is that of a SQLite store whose file nobody has made yet."""
    file = sqlite_file(tracking_uri)
    return file is not None and not os.path.lexists(file)


def refuse_lost_records(tracking_uri: str, home: Home, *, needed: bool = False) -> None:
    """Refuse a SQLite store whose file is missing although it had records; see `check_not_lost`.

    Args:
        tracking_uri: Address of the registry.
        home: GLOCAL_HOME, whose files may refer to the records.
        needed: Whether something else refers to them.

    Raises:
        StorageFailed: The file is missing.
    """
    if (file := sqlite_file(tracking_uri)) is not None:
        check_not_lost(file, home.serve, needed=needed)


def experiment_id(client: "MlflowClient", tracking_uri: str, name: str) -> str:
    """Id of the experiment of that name, which is made if it is new.

    The artifacts of a SQLite store lie beside it in `mlartifacts`; a server decides itself where it keeps them.
    """
    from mlflow.exceptions import MlflowException

    file = sqlite_file(tracking_uri)
    root = file.with_name("mlartifacts") if file else None
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            location = (root.resolve() / name).as_uri() if root else None
            return client.create_experiment(name, artifact_location=location, tags={"mlflow.experimentKind": _PAGE})
        except MlflowException:  # another process made it meanwhile
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def quoted(text: str) -> str:
    """A text in a filter of MLflow, which knows no escapes: one with a quote in it is in the other kind of quotes.

    Raises:
        InvalidInput: It has both kinds.
    """
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise InvalidInput(f"Nothing on record has {text!r}.")
