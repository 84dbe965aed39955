"""The endpoint: a running TorchServe with the records of its home. Callers hold the lock of deployments."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from model.errors import GlocalError, InvalidInput, NotFound, StorageFailed
from model.home import ServeFolder
from model.schemas.status import Difference
from serving.backends.torchserve.archive import has_current_handler, pack_again, verify_archive
from serving.backends.torchserve.challengers import on_record
from serving.backends.torchserve.configuration import Limits
from serving.backends.torchserve.deployed import Deployed, read_deployed, write_deployed
from serving.backends.torchserve.discovery import Running
from serving.backends.torchserve.management import Management
from serving.client import Client
from serving.local import local_client

E = TypeVar("E", bound=Deployed)


@dataclass(frozen=True)
class Endpoint:
    """A running server and the folder of its records."""

    folder: ServeFolder
    server: Management

    @property
    def client(self) -> Client:
        """A client of this home's gateway."""
        return local_client(self.folder)

    def deployed(self, name: str) -> Deployed | None:
        """The version on record as serving under a name."""
        return read_deployed(self.folder.deployed).get(name)

    def registered(self, name: str) -> list[str]:
        """The versions of a name at the server."""
        return [served.version for served in self.server.versions(name)]

    def serving(self, name: str) -> Deployed | None:
        """The version on record as serving under a name, if the server has it."""
        entry = self.deployed(name)
        return entry if entry is not None and entry.version in self.registered(name) else None


@contextmanager
def connect(folder: ServeFolder, running: Running) -> Iterator[Endpoint]:
    """The endpoint of a running server, for the duration of the block."""
    with Management(running.address, running.management, tokens=folder.tokens, log=str(folder.logs)) as server:
        yield Endpoint(folder, server)


def bring_up(endpoint: Endpoint, name: str, entry: Deployed, *, deadline_s: float) -> None:
    """Check an archive's hash and structure, register it and wait for its workers.

    Raises:
        InvalidInput, NotFound: The archive was changed or is missing.
        Unavailable: Its workers do not get ready.
    """
    verify_archive(endpoint.folder.store / entry.archive, entry.sha256)
    endpoint.server.register(entry.archive, name)
    endpoint.server.scale(name, entry.version, entry.workers, deadline_s=deadline_s, retries=0)


def restore(endpoint: Endpoint, redeploy: Callable[[str, Deployed], None]) -> list[Difference]:
    """Bring back the versions on record that do not serve. A model that cannot come back does not stop the others.

    Args:
        endpoint: The server.
        redeploy: Called with name and record of a version whose archive is damaged; deploys it from another source.

    Returns:
        The models whose archives were damaged, and those that could not be brought back, and why.
    """
    differences = []
    for name, entry in read_deployed(endpoint.folder.deployed).items():
        is_registered = entry.version in endpoint.registered(name)
        try:
            if is_registered:
                endpoint.server.scale(name, entry.version, entry.workers, deadline_s=Limits().startup_s)
            else:
                differences += _bring_back(endpoint, name, entry, redeploy)
            if endpoint.server.default(name) != entry.version:
                endpoint.server.set_default(name, entry.version)
        except GlocalError as error:
            if not is_registered:
                with contextlib.suppress(GlocalError):
                    endpoint.server.unregister(name, entry.version)
            failed = f"Version {entry.version} cannot be brought back: {error}"
            differences.append(Difference(model=name, found=failed, done=""))
    return differences


def _bring_back(endpoint: Endpoint, name: str, entry: Deployed, redeploy: Callable[[str, Deployed], None]) -> list[Difference]:
    try:
        current = with_current_handler(endpoint.folder, name, entry)
        if current != entry:
            write_deployed(endpoint.folder.deployed, name, current)
        bring_up(endpoint, name, current, deadline_s=Limits().startup_s)
    except (InvalidInput, NotFound) as damage:
        try:
            redeploy(name, entry)
        except GlocalError as error:
            hint = error.hint if isinstance(error, StorageFailed) else damage.hint
            raise InvalidInput(f"{damage.headline} {error.headline}", hint) from error
        done = f"It was packed again from the registry, and version {entry.version} serves."
        return [Difference(model=name, found=damage.headline, done=done)]
    return []


def with_current_handler(folder: ServeFolder, name: str, entry: E) -> E:
    """The record of a version whose archive was packed again if an earlier revision had packed it."""
    archive = verify_archive(folder.store / entry.archive, entry.sha256)
    if has_current_handler(archive):
        return entry
    packed = pack_again(archive, name=name, version=entry.version)
    return entry.model_copy(update={"archive": packed.path.name, "sha256": packed.sha256})


def strays(endpoint: Endpoint) -> list[Difference]:
    """The versions that the server holds beside those on record. Nothing is changed."""
    kept = _versions_on_record(endpoint)
    held = [(name, version) for name in endpoint.server.names() for version in endpoint.registered(name)]
    return [
        Difference(
            model=name,
            found=f"The server holds version {version}, which is not on record.",
            done="glocal serve start removes it and frees its memory.",
        )
        for name, version in held
        if (name, version) not in kept
    ]


def tidy(endpoint: Endpoint) -> list[Difference]:
    """Unregister versions not on record; make the recorded one the default."""
    deployed, kept, differences = read_deployed(endpoint.folder.deployed), _versions_on_record(endpoint), []
    for name in endpoint.server.names():
        entry, versions = deployed.get(name), endpoint.registered(name)
        if entry is not None and entry.version in versions and (default := endpoint.server.default(name)) != entry.version:
            endpoint.server.set_default(name, entry.version)
            was = f"The server answered with version {default}, while version {entry.version} is on record."
            differences.append(Difference(model=name, found=was, done="The version on record answers again."))
        for version in versions:
            if (name, version) not in kept:
                endpoint.server.unregister(name, version)
                stray = f"The server held version {version}, which is not on record."
                differences.append(Difference(model=name, found=stray, done="It was removed."))
    return differences


def _versions_on_record(endpoint: Endpoint) -> set[tuple[str, str]]:
    return {(name, entry.version) for name, entry in on_record(endpoint.folder)}
