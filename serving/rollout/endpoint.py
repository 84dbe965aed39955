"""The endpoint: a server of models that runs, with the records of its home. Callers hold the lock of deployments."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from model.home import ServeFolder
from model.locks import hold
from model.release import Release
from serving.archive import build_archive, is_wrapped, pack_again, stored_archive, verify_archive
from serving.backends.port import Backend, Loading, Stored
from serving.client import Client
from serving.golden import replay_golden
from serving.local import local_client
from serving.rollout.challengers import DeployedChallenger
from serving.rollout.deployed import Deployed, read_deployed, record_of
from serving.signatures import check_signature

E = TypeVar("E", bound=Deployed)
DEPLOYMENT_WAIT_S = 180.0


@dataclass(frozen=True)
class Begun:
    """A version that is being loaded before it is decided that it is to serve: see `serving.rollout.ahead`.

    Attributes:
        name: Name of the served model.
        entry: The record that it would have.
    """

    name: str
    entry: Deployed


@dataclass(frozen=True)
class Endpoint:
    """A server that runs, and the folder of its records.

    Attributes:
        folder: Folder of the endpoint's files.
        backend: The adapter.
        server: What loads and unloads versions.
        opened: What `connect` closes.
        begun: The version that is being loaded ahead; None if there is none.
    """

    folder: ServeFolder
    backend: Backend
    server: Loading
    opened: ExitStack = field(default_factory=ExitStack)
    begun: Begun | None = None

    @cached_property
    def client(self) -> Client:
        """A client of this home's gateway.

        Raises:
            Unavailable: No gateway was started here.
        """
        return self.opened.enter_context(local_client(self.folder))

    def replay(self, release: Release, name: str, version: str) -> None:
        """Replay the golden queries of a version's release at every gateway that answers callers.

        Raises:
            GlocalError: One of them does not answer as the release must.
        """
        for address in self.backend.replicas(self.folder):
            with local_client(self.folder, address=address) as client:
                replay_golden(release, client, name, version)
        replay_golden(release, self.client, name, version)

    def deployed(self, name: str) -> Deployed | None:
        """The version on record as serving under a name."""
        return read_deployed(self.folder.deployed).get(name)

    def loaded(self, name: str) -> Sequence[str]:
        """The versions of a name that are loaded."""
        return [each.version for each in self.server.held().get(name, ())]

    def serving(self, name: str) -> Deployed | None:
        """The version on record as serving under a name, if it is loaded."""
        entry = self.deployed(name)
        return entry if entry is not None and entry.version in self.loaded(name) else None


def deploying(folder: ServeFolder, *, wait_s: float = DEPLOYMENT_WAIT_S) -> AbstractContextManager[None]:
    """The lock of deployments: whoever changes what serves, or the records of that, holds it meanwhile.

    Raises:
        Conflict: Another deployment does not finish in time.
    """
    return hold(folder.deploy_lock, wait_s=wait_s, busy="Another deployment is under way.")


@contextmanager
def connect(folder: ServeFolder, backend: Backend) -> Iterator[Endpoint]:
    """The endpoint whose server of models runs, for the duration of the block.

    Raises:
        Unavailable: The server does not run.
    """
    with backend.loading(folder) as server, ExitStack() as opened:
        yield Endpoint(folder, backend, server, opened)


def pack(endpoint: Endpoint, release: Release, version: str, *, name: str, workers: int) -> Deployed:
    """The record that a version will have, with its archive in the store: the whole one that lies there, else a new one."""
    store, wrapping = endpoint.folder.store, endpoint.backend.wrapping(name, version)
    archive = stored_archive(release, store, name=name, version=version, wrapping=wrapping)
    if archive is None:
        archive = build_archive(release, store, name=name, version=version, wrapping=wrapping)
    return record_of(archive, release.manifest, version, workers)


def checked(endpoint: Endpoint, name: str, entry: E) -> E:
    """The record of a version whose archive in the store was verified, and packed again if it lacks what this server needs.

    Raises:
        InvalidInput, NotFound: The archive was changed or is missing.
    """
    archive = verify_archive(endpoint.folder.store / entry.archive, entry.sha256)
    wrapping = endpoint.backend.wrapping(name, entry.version)
    if is_wrapped(archive, wrapping):
        return entry
    packed = pack_again(archive, name=name, version=entry.version, wrapping=wrapping)
    return entry.model_copy(update={"archive": packed.path.name, "sha256": packed.sha256})


def bring_up(endpoint: Endpoint, name: str, entry: Deployed) -> None:
    """Load a version that comes from `pack` or `checked`, and wait for its workers.

    What was loaded ahead from another archive than this one is unloaded first.

    Raises:
        InvalidInput: A verifying key is set, and the version has no valid signature.
        Unavailable: Its workers do not get ready.
    """
    begun = endpoint.begun
    if begun and (begun.name, begun.entry.version) == (name, entry.version) and begun.entry.sha256 != entry.sha256:
        endpoint.server.unload(name, entry.version)
    endpoint.server.load(_admitted(endpoint, name, entry))


def begin(endpoint: Endpoint, name: str, entry: Deployed) -> None:
    """Begin to load a version that is not loaded and comes from `checked`; `bring_up` waits for it.

    Raises:
        InvalidInput: A verifying key is set, and the version has no valid signature.
        Unavailable: The server refuses it.
    """
    endpoint.server.begin(_admitted(endpoint, name, entry))


def _admitted(endpoint: Endpoint, name: str, entry: Deployed) -> Stored:
    """What the server is to load. The signature is checked here and nowhere else; that of what is loaded is not checked again."""
    challenge = entry.challenge if isinstance(entry, DeployedChallenger) else None
    stored = Stored(name, entry.version, endpoint.folder.store / entry.archive, entry.workers, challenge)
    if entry.version not in endpoint.loaded(name):
        check_signature(stored.archive, name, entry.version)
    return stored
