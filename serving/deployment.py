"""The deployment of a registered version. Promotions and moved aliases are both carried out here.

A deployment writes in the order of docs/decisions/0009-one-truth-of-what-serves.md, so that `serving.reconcile` can tell where
a killed deployment stopped.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from model.environment import Environment
from model.home import Home
from model.release import Release
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Deployment
from model.scratch import scratch_folder
from serving import server
from serving.approval import refuse_unapproved
from serving.backends.port import Backend
from serving.registry.ledger import Ledger
from serving.registry.models import Registry
from serving.rollout.challengers import read_challengers
from serving.rollout.deployed import Deployed, read_deployed
from serving.rollout.endpoint import DEPLOYMENT_WAIT_S, Endpoint, connect, deploying
from serving.rollout.switch import deployment, retire, switch_over


@dataclass(frozen=True)
class ModelRecords:
    """The records of one served model: its versions, its ledger, and the version that serves in a GLOCAL_HOME."""

    home: Home
    registry: Registry
    ledger: Ledger

    @classmethod
    def open(cls, home: Home, tracking_uri: str, name: str) -> "ModelRecords":
        """Open the records of the model with this name."""
        return cls(home, Registry(tracking_uri, name), Ledger(tracking_uri, name, home.ledger))

    @property
    def name(self) -> str:
        """Name of the registered and served model."""
        return self.registry.name

    @property
    def deployed(self) -> Deployed | None:
        """The version on record as serving; None if there is none."""
        return read_deployed(self.home.serve.deployed).get(self.name)


@contextmanager
def locked_endpoint(home: Home, wanted: Backend | None = None, *, wait_s: float = DEPLOYMENT_WAIT_S) -> Iterator[Endpoint]:
    """The endpoint of a home, started if it does not run, while no other deployment takes place.

    Args:
        home: GLOCAL_HOME.
        wanted: The adapter whose server is to run: see `server.ensure`.
        wait_s: Seconds to wait for another deployment to finish.

    Raises:
        Conflict: It does not finish.
        Unavailable: The server does not come up.
    """
    with deploying(home.serve, wait_s=wait_s), connect(home.serve, server.ensure(home, wanted)) as endpoint:
        yield endpoint


def deploy_version(
    model: ModelRecords,
    endpoint: Endpoint,
    version: ModelVersion,
    release: AbstractContextManager[Release],
    *,
    before: str | None,
    by: str,
    why: str,
    workers: int,
) -> Deployment:
    """Make a version serve, move the aliases to it, and retire the version that served before.

    A challenge of the model ends once the version is verified: it was against the version that served.

    An error closes the ledger's entry as failed. A kill leaves the entry to `serving.reconcile`.

    Args:
        model: Records of the model.
        endpoint: The server, whose deployment lock the caller holds.
        version: The version.
        release: Opens the version's release for the duration of the deployment.
        before: The version that was champion; None if there was none.
        by: The user who asked for the deployment.
        why: The reason, for the ledger.
        workers: Number of worker processes.

    Raises:
        Conflict: The version needs an approval which it has not.
        GlocalError: The version cannot be loaded or does not verify. What served before still serves, and no alias moved.
    """
    refuse_unapproved(model.registry, model.ledger, version)
    challenger = read_challengers(endpoint.folder.challengers).get(model.name)
    place = serving_place(model.home)
    entry = model.ledger.begin(
        by=by, why=why, before=before or "", version=version.version, release_id=version.release, place=place
    )
    with ExitStack() as stack:
        with _closed_if_failed(model.ledger, entry, why):
            opened = stack.enter_context(release)
            old = switch_over(endpoint, opened, version.version, name=model.name, workers=workers)
            switched = round(1000 * time.time())
        model.registry.make_champion(version.version, before)
        model.ledger.close(entry, "promoted", ended=switched)
        retire(endpoint, model.name, old)
        if challenger is not None and challenger.version != version.version:
            retire(endpoint, model.name, challenger)
        return deployment(endpoint, opened, version.version, model.name)


@contextmanager
def fetched_release(registry: Registry, version: str) -> Iterator[Release]:
    """A copy of a version's release from the registry, for the duration of the block."""
    with scratch_folder("fetched") as scratch:
        yield registry.files.fetch(version, scratch / "release")


def serving_place(home: Home) -> str:
    """What serves, as the ledger names it: the endpoint elsewhere, or the machine and its GLOCAL_HOME."""
    return Environment().endpoint_elsewhere or f"{socket.gethostname()}:{home.root}"


@contextmanager
def _closed_if_failed(ledger: Ledger, entry: str, why: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        ledger.close(entry, "failed", why=f"{why}: {error}")
        raise
