"""A running TorchServe together with its home's records, for whoever holds the deployment's lock."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from model.errors import GlocalError
from model.home import ServeFolder
from model.schemas.status import Difference
from serving.backends.torchserve.archive import verify_archive
from serving.backends.torchserve.configuration import Limits
from serving.backends.torchserve.deployed import Deployed, read_deployed
from serving.backends.torchserve.discovery import Running
from serving.backends.torchserve.management import Management


@dataclass(frozen=True)
class Site:
    """A running server and where its records lie."""

    folder: ServeFolder
    server: Management

    @property
    def address(self) -> str:
        """Where queries go."""
        return self.server.inference

    def deployed(self, name: str) -> Deployed | None:
        """What is on record as serving under a name."""
        return read_deployed(self.folder.deployed).get(name)

    def registered(self, name: str) -> list[str]:
        """The versions of a name at the server."""
        return [each.version for each in self.server.versions(name)]

    def serving(self, name: str) -> Deployed | None:
        """What is on record as serving under a name, if the server has it."""
        entry = self.deployed(name)
        return entry if entry is not None and entry.version in self.registered(name) else None


@contextmanager
def connect(folder: ServeFolder, running: Running) -> Iterator[Site]:
    """A running server's site, for the block."""
    with Management(running.address, running.management, log=str(folder.logs)) as server:
        yield Site(folder, server)


def bring_up(site: Site, name: str, entry: Deployed, *, deadline_s: float) -> None:
    """Check an archive's hash and structure, register it and wait for its workers.

    Raises:
        InvalidInput, NotFound: The archive is not the one that was built.
        Unavailable: Its workers do not get ready.
    """
    verify_archive(site.folder.store / entry.archive, entry.sha256)
    site.server.register(entry.archive, name)
    site.server.scale(name, entry.version, entry.workers, deadline_s=deadline_s, retries=0)


def restore(site: Site) -> list[Difference]:
    """Bring back what is on record and does not serve. One model that cannot come back does not stop the others.

    Returns:
        The models that could not be brought back, and why.
    """
    failed = []
    for name, entry in read_deployed(site.folder.deployed).items():
        there = entry.version in site.registered(name)
        try:
            if there:
                site.server.scale(name, entry.version, entry.workers, deadline_s=Limits().startup_s)
            else:
                bring_up(site, name, entry, deadline_s=Limits().startup_s)
            if site.server.default(name) != entry.version:
                site.server.set_default(name, entry.version)
        except GlocalError as error:
            if not there:
                with contextlib.suppress(GlocalError):
                    site.server.unregister(name, entry.version)
            failed.append(Difference(model=name, found=f"Version {entry.version} cannot be brought back: {error}", done=""))
    return failed


def tidy(site: Site) -> list[Difference]:
    """Put back what a killed deployment left at the server: only versions on record are registered, and are the default."""
    kept, found = read_deployed(site.folder.deployed), []
    for name in site.server.names():
        entry, versions = kept.get(name), site.registered(name)
        if entry is not None and entry.version in versions and (default := site.server.default(name)) != entry.version:
            site.server.set_default(name, entry.version)
            was = f"The server answered with version {default}, while version {entry.version} is on record."
            found.append(Difference(model=name, found=was, done="The version on record answers again."))
        for version in versions:
            if entry is None or version != entry.version:
                site.server.unregister(name, version)
                stray = f"The server held version {version}, which is not on record."
                found.append(Difference(model=name, found=stray, done="It was removed."))
    return found
