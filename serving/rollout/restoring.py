"""What is on record is brought back at a server that runs, and what is not on record is removed from it."""

import contextlib
from collections.abc import Callable

from model.errors import GlocalError, InvalidInput, NotFound, StorageFailed
from model.schemas.status import Difference
from serving.rollout.challengers import on_record
from serving.rollout.deployed import Deployed, read_deployed, write_deployed
from serving.rollout.endpoint import Endpoint, bring_up, checked


def restore(endpoint: Endpoint, redeploy: Callable[[str, Deployed], None]) -> list[Difference]:
    """Bring back the versions on record that do not serve. A model that cannot come back does not stop the others.

    Args:
        endpoint: The server.
        redeploy: Called with name and record of a version whose archive is damaged; deploys it from another source.

    Returns:
        The models whose archives were damaged, and those that could not be brought back, and why.
    """
    differences, held = [], endpoint.server.held()
    for name, entry in read_deployed(endpoint.folder.deployed).items():
        is_loaded = any(each.version == entry.version for each in held.get(name, ()))
        try:
            if is_loaded:
                bring_up(endpoint, name, entry)
            else:
                differences += _bring_back(endpoint, name, entry, redeploy)
        except GlocalError as error:
            if not is_loaded:
                with contextlib.suppress(GlocalError):
                    endpoint.server.unload(name, entry.version)
            failed = f"Version {entry.version} cannot be brought back: {error}"
            differences.append(Difference(model=name, found=failed, done=""))
    return differences


def _bring_back(endpoint: Endpoint, name: str, entry: Deployed, redeploy: Callable[[str, Deployed], None]) -> list[Difference]:
    try:
        current = checked(endpoint, name, entry)
        if current != entry:
            write_deployed(endpoint.folder.deployed, name, current)
        bring_up(endpoint, name, current)
    except (InvalidInput, NotFound) as damage:
        try:
            redeploy(name, entry)
        except GlocalError as error:
            hint = error.hint if isinstance(error, StorageFailed) else damage.hint
            headlines = dict.fromkeys((damage.headline, error.headline))  # one, where both say that the version is not signed
            raise InvalidInput(" ".join(headlines), hint) from error
        done = f"It was packed again from the registry, and version {entry.version} serves."
        return [Difference(model=name, found=damage.headline, done=done)]
    return []


def strays(endpoint: Endpoint) -> list[Difference]:
    """The versions that the server holds beside those on record. Nothing is changed."""
    return [
        Difference(
            model=name,
            found=f"The server holds version {version}, which is not on record.",
            done="glocal serve start removes it and frees its memory.",
        )
        for name, version in _not_on_record(endpoint)
    ]


def tidy(endpoint: Endpoint) -> list[Difference]:
    """Unload the versions that are not on record."""
    differences = []
    for name, version in _not_on_record(endpoint):
        endpoint.server.unload(name, version)
        stray = f"The server held version {version}, which is not on record."
        differences.append(Difference(model=name, found=stray, done="It was removed."))
    return differences


def _not_on_record(endpoint: Endpoint) -> list[tuple[str, str]]:
    kept = {(name, entry.version) for name, entry in on_record(endpoint.folder)}
    kept |= {(endpoint.begun.name, endpoint.begun.entry.version)} if endpoint.begun else set()
    held = [(name, each.version) for name, versions in endpoint.server.held().items() for each in versions]
    return [each for each in held if each not in kept]
