"""The environment of a process: folders, addresses and secrets, read from `GLOCAL_*` variables and not from run parameters."""

import getpass
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.disk import temporary_folder
from model.errors import InvalidInput
from model.home import Home

_FILES = ("signing_key", "verifying_key", "sigstore_token_file", "sigstore_trust", "dashboard_oidc_secret_file")
"""Settings that name a file, which empty variables do not."""
_SCRATCH_BYTES = 512 * 2**20
"""Bytes that a run may need for temporary files: some copies of a release."""


def _split(text: object) -> object:
    return tuple(each.strip() for each in text.split(",") if each.strip()) if isinstance(text, str) else text


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Texts of a variable, with commas between them."""


class Environment(BaseSettings):
    """Settings of folders, addresses and secrets."""

    model_config = SettingsConfigDict(env_prefix="GLOCAL_", extra="ignore")

    home: Annotated[Home, NoDecode] = Field(
        default_factory=lambda: Home.at(".glocal"), description="State of this machine: databases, data, logs, models"
    )
    data_remote: str = Field(
        "", description="Where data versions are pushed: a folder or `s3://bucket/prefix`; empty: a folder in GLOCAL_HOME"
    )
    tracking_uri: str = Field("", description="Address of the MLflow server; empty: a database in GLOCAL_HOME")
    milvus_uri: str = Field(
        "",
        description="Address of the Milvus server, for `index.gallery=milvus`; a file: Milvus Lite, for one process at a time",
    )
    milvus_token: str = Field(
        "", repr=False, description="Token for it, or `user:password`; empty for a server that asks for none"
    )
    milvus_token_file: Path | None = Field(
        None, description="File that holds this token instead, as a mounted secret; so workers get it, whose environment has none"
    )
    data_git: str = Field(
        "",
        description="Address of a git repository that names the data versions for several machines; empty: for this one alone",
    )
    runner: Literal["local", "docker", "kubeflow"] = Field(
        "local", description="Where runs are executed: processes here, containers here, or a cluster; as `glocal run --runner`"
    )
    kubeflow_run: str = Field("", description="Run in Kubeflow that the steps of this process belong to; set in their pods")
    kubeflow_workflow: str = Field("", description="Name of its workflow in Kubernetes; set in the pods of steps")
    run_id: str = Field("", description="MLflow run that the steps of this process belong to; set by `glocal run`")
    run_folder: Path | None = Field(None, description="Folder of the run's logs and reports; set by `glocal run`")
    code_revision: str = Field("", description="Revision of the code of the whole run; set by `glocal run`")
    user: str = Field("", description="Name of who acts, as the ledger of promotions shows it; empty: the login name")
    key: str = Field(
        "",
        repr=False,
        description="API key of the operator who approves or refuses, and for an endpoint that runs elsewhere; "
        "empty: that of this home's owner",
    )
    backend: Literal["torchserve", "litserve", "kubernetes"] = Field(
        "torchserve",
        description="Server of models behind the gateway; `glocal serve start` replaces another one that runs; `kubernetes`: "
        "gateway and server are pods of a cluster, and this home promotes there",
    )
    endpoint: str = Field(
        "",
        description="Address of an endpoint elsewhere, which `glocal query` asks with `GLOCAL_KEY`; with "
        "`GLOCAL_BACKEND=kubernetes` a promotion replays there; empty: the Service named as the Deployment",
    )
    namespace: str = Field(
        "", description="Namespace of the pods that serve; empty: that of this pod, else the one that `KUBECONFIG` names"
    )
    deployment: str = Field("glocal-serve", description="Deployment of the pods that serve")
    rollout_s: float = Field(900, gt=0, description="Seconds in which all pods that serve must have come up with a version")
    served: str = Field("", description="What a replica of the endpoint is to serve, as JSON; set in the pods that serve")
    gateway_host: str = Field("127.0.0.1", description="Address that the gateway listens at; counts when it is started")
    gateway_port: int = Field(
        0, ge=0, le=65535, description="Port that it listens at; 0: that of its last start, else 8080, or a free one"
    )
    worker_memory_mb: int = Field(
        4096, ge=2048, description="Megabytes that a worker of a model may allocate; files that it maps do not count"
    )
    sample_share: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of the queries whose images the gateway keeps, with the answers; counts when it is started",
    )
    signing_key: Path | None = Field(
        None, description="File of the private key (PEM, EC) that releases are signed with when they are registered"
    )
    verifying_key: Path | None = Field(
        None, description="File of the public key; where it is set, a version without a valid signature is not loaded"
    )
    sigstore_token_file: Path | None = Field(
        None, description="File of an OpenID Connect identity token: Sigstore signs in the name of its owner, without a key"
    )
    sigstore_identity: str = Field(
        "", description="Who must have signed by Sigstore; where it is set, a version without such a signature is not loaded"
    )
    sigstore_issuer: str = Field("", description="Address of the OpenID Connect issuer that vouches for this identity")
    sigstore_trust: Path | None = Field(
        None, description="File of the trust configuration of another Sigstore than the public one, which is asked by network"
    )
    retention_days: int = Field(
        90, ge=0, description="Days for which `glocal gc` keeps what served, was made or was used, and is not needed any more"
    )
    dashboard_host: str = Field("127.0.0.1", description="Address that the dashboard listens at")
    dashboard_port: int = Field(8090, ge=0, le=65535, description="Port of the dashboard; 0: a free one")
    dashboard_address: str = Field(
        "", description="Address by which browsers find the dashboard, such as `https://glocal.example.org`; empty: host and port"
    )
    dashboard_user_header: str = Field(
        "", description="Header in which a proxy before the dashboard names who has signed in; empty: there is no such proxy"
    )
    dashboard_proxies: Names = Field(
        ("127.0.0.1/32", "::1/128"), description="Networks of that proxy, with commas; the header is believed from there alone"
    )
    dashboard_oidc_issuer: str = Field(
        "", description="Address of the OpenID Connect provider that signs people in; empty: none does"
    )
    dashboard_oidc_client: str = Field("", description="Id under which the provider knows this dashboard")
    dashboard_oidc_secret_file: Path | None = Field(None, description="File of the secret that goes with it")
    dashboard_oidc_claim: str = Field(
        "email", description="Claim that is a person's name here; an `email` that the provider has not verified is refused"
    )
    dashboard_viewers: Names = Field(
        (),
        description="Names, with commas, of the people who may look, once proxy or provider has signed them in; `*`: all",
    )
    dashboard_operators: Names = Field((), description="Names, with commas, of the people who may start runs and promote")
    dashboard_admins: Names = Field((), description="Names, with commas, of the people who may change everything")
    runs_at_once: int = Field(
        1, ge=1, le=64, description="Queued runs that are executed at the same time; counts when the queue's worker is started"
    )
    server: str = Field(
        "",
        description="Address of a dashboard, which does what is asked in place of this machine; as `glocal --server`",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Level of the steps' logs")

    @field_validator("home", mode="before")
    @classmethod
    def _at(cls, home: object) -> object:
        if not isinstance(home, str | Path):
            return home
        try:
            return Home.at(home or ".glocal")
        except (RuntimeError, OSError) as error:
            raise ValueError(str(error)) from error

    @field_validator(*_FILES, mode="before")
    @classmethod
    def _unset(cls, key: object) -> object:
        return None if key == "" else key

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    def run_by(self, runner: str) -> "Environment":
        """The same, with its runs executed by another runner; empty: by its own."""
        return self.model_copy(update={"runner": runner}) if runner else self

    @property
    def endpoint_elsewhere(self) -> str:
        """Address of the endpoint, if it does not run in this home; else empty."""
        return (self.endpoint or f"http://{self.deployment}:8080") if self.backend == "kubernetes" else ""

    @property
    def milvus_credential(self) -> str:
        """The token for the Milvus server, from the variable or the file; empty if there is none.

        Raises:
            InvalidInput: The file cannot be read.
        """
        if self.milvus_token or self.milvus_token_file is None:
            return self.milvus_token
        try:
            return self.milvus_token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The token of Milvus cannot be read: {error}", "See GLOCAL_MILVUS_TOKEN_FILE.") from error

    @property
    def mlflow_uri(self) -> str:
        """Address of the tracking server, or of the database in the home."""
        return self.tracking_uri or self.home.tracking_uri


def current_user() -> str:
    """Name of the user: `GLOCAL_USER`, else the name of the account, else its number."""
    if named := os.environ.get("GLOCAL_USER"):
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def prepare_process(home: Home) -> None:
    """Set the temporary folder, the user's name and HOME for this process and those that it starts, if the system has none.

    If no temporary folder has room, GLOCAL_HOME holds the temporary files. A user without an entry in the list of accounts, as
    in a container, has neither a name nor a HOME.
    """
    folder = temporary_folder(_SCRATCH_BYTES) or _made(home.scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
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
