"""Where things lie and who may be spoken to: read from `GLOCAL_*` variables, never from run parameters."""

import getpass
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.disk import temporary_folder
from model.home import Home

_SCRATCH_BYTES = 512 * 2**20
"""What a run may need for temporary files: some copies of a release."""


class Environment(BaseSettings):
    """The settings that name places and secrets.

    Attributes:
        home: State of this machine (`GLOCAL_HOME`): databases, data, logs, models; empty: `.glocal` in the current folder.
        data_remote: Where data versions are pushed (`GLOCAL_DATA_REMOTE`): a folder or `s3://...`; empty: a folder in home.
        tracking_uri: The MLflow server (`GLOCAL_TRACKING_URI`); empty for a database in home.
        run_id: The MLflow run that this process's steps belong to (`GLOCAL_RUN_ID`).
        run_folder: Where this run's step logs go (`GLOCAL_RUN_FOLDER`).
        code_revision: Of the whole run (`GLOCAL_CODE_REVISION`); set by whoever started it.
        user: Who acts (`GLOCAL_USER`), as the ledger shows it.
        log_level: How much the steps' logs say (`GLOCAL_LOG_LEVEL`).
    """

    model_config = SettingsConfigDict(env_prefix="GLOCAL_", extra="ignore")

    home: Annotated[Home, NoDecode] = Field(default_factory=lambda: Home.at(".glocal"))
    data_remote: str = ""
    tracking_uri: str = ""
    run_id: str = ""
    run_folder: Path | None = None
    code_revision: str = ""
    user: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("home", mode="before")
    @classmethod
    def _at(cls, home: object) -> object:
        if not isinstance(home, str | Path):
            return home
        try:
            return Home.at(home or ".glocal")
        except (RuntimeError, OSError) as error:
            raise ValueError(str(error)) from error

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @property
    def mlflow_uri(self) -> str:
        """The tracking server, or the database in home."""
        return self.tracking_uri or self.home.tracking_uri


def current_user() -> str:
    """Who acts: `GLOCAL_USER`, else the name of the account, else its number where it has no name."""
    if named := os.environ.get("GLOCAL_USER"):
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def settle(home: Home) -> None:
    """Give this process, and what it starts, what libraries ask the system for: a temporary folder, a user's name, a HOME.

    Without a temporary folder that has room, GLOCAL_HOME holds the temporary files. A user without an entry in the list of
    accounts, as in a container, has neither name nor HOME.
    """
    found = temporary_folder(_SCRATCH_BYTES) or _made(home.scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = str(found)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = current_user()
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_made(home.scratch))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
