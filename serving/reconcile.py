"""One truth of what serves: the server's default, `deployed.json` and the alias `champion` are brought together.

The rules, and why, are in docs/decisions/0009-one-truth-of-what-serves.md:

1. A deployment that was killed after `deployed.json` was written had verified: its aliases are moved now.
2. One that was killed before is rolled back: what `deployed.json` names answers again.
3. An alias that was moved by hand is a wish: the version is deployed once it has answered its golden queries. If it does not,
   the alias goes back to what serves.
4. A version that serves and was deleted from the registry serves on, and this is said each time.
"""

import logging
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.claim import claim
from model.environment import current_user
from model.errors import Conflict, GlocalError, InvalidInput, StorageFailed
from model.home import Home, ServeFolder
from model.locks import hold
from model.release import open_release
from model.schemas.promotion import Promotion
from model.schemas.status import Difference, ServerStatus
from model.scratch import remove_abandoned, scratch_folder
from serving.backends.torchserve import server as torchserve
from serving.backends.torchserve.deployed import Deployed, read_deployed
from serving.backends.torchserve.leftovers import clear_store, record_from_store, set_damaged_aside, stored_names
from serving.backends.torchserve.rollout import retire, switch_over
from serving.backends.torchserve.site import Site, connect, restore, tidy
from serving.registry.ledger import Ledger
from serving.registry.models import Registry, champions
from serving.registry.runs import sqlite_file

_log = logging.getLogger(__name__)
_LOCK_WAIT_S = 180.0
_AT_START = "It will be deployed by glocal serve start."


def start_server(home: Home, tracking_uri: str) -> ServerStatus:
    """Start the endpoint unless it runs, bring back what was deployed, and reconcile it with the registry."""
    claim(home)
    with hold(home.serve.deploy_lock, wait_s=_LOCK_WAIT_S, busy="A deployment is under way."):
        damaged = torchserve.status(home).differences
        running = torchserve.ensure(home.serve)
        with connect(home.serve, running) as site:
            found = reconcile_site(home, tracking_uri, site)
    server_files = [each for each in damaged if str(home.serve.state) in each.found]
    return torchserve.status(home).model_copy(update={"differences": (*server_files, *found)})


def server_status(home: Home, tracking_uri: str) -> ServerStatus:
    """What serves, once the records of finished and killed deployments have been put right; deploys nothing."""
    if not home.serve.root.exists():
        return torchserve.status(home)
    before = torchserve.status(home).differences
    found = reconcile(home, tracking_uri, deploy=False, lock_wait_s=0)
    return torchserve.status(home).model_copy(update={"differences": (*before, *found)})


def reconcile(home: Home, tracking_uri: str, *, deploy: bool = True, lock_wait_s: float = _LOCK_WAIT_S) -> tuple[Difference, ...]:
    """Bring together what serves and what the records say; starts no server.

    Args:
        home: GLOCAL_HOME.
        tracking_uri: The registry.
        deploy: Whether a version that somebody pointed `champion` at is deployed, where the server answers.
        lock_wait_s: For a deployment that is under way.

    Returns:
        Every difference that was found, and what was done about it.
    """
    if not home.serve.root.exists():
        return ()
    try:
        with hold(home.serve.deploy_lock, wait_s=lock_wait_s, busy="A deployment is under way."):
            running = torchserve.answering(home.serve) if deploy else None
            if running is None:
                return tuple(_settle(home, tracking_uri, None))
            with connect(home.serve, running) as site:
                return reconcile_site(home, tracking_uri, site)
    except Conflict as error:
        return (Difference(model="", found=error.headline, done="The records were left as they are."),)


def reconcile_site(home: Home, tracking_uri: str, site: Site) -> tuple[Difference, ...]:
    """`reconcile` at a server that runs, for whoever holds the deployment's lock."""
    found = list(_before(home, tracking_uri))
    found += restore(site)
    found += tidy(site)
    found += clear_store(site.folder)
    found += _settle(home, tracking_uri, site)
    remove_abandoned()
    return tuple(found)


def log_differences(found: Iterable[Difference]) -> None:
    """Say what was found in this process's log."""
    for difference in found:
        _log.warning("%s", difference)


def place(home: Home) -> str:
    """This machine and GLOCAL_HOME, as the ledger names them."""
    return f"{socket.gethostname()}:{home.root}"


@dataclass(frozen=True)
class _Model:
    """One model's records."""

    home: Home
    name: str
    registry: Registry
    ledger: Ledger
    site: Site | None

    @property
    def deployed(self) -> Deployed | None:
        return read_deployed(self.home.serve.deployed).get(self.name)

    def says(self, found: str, done: str) -> Difference:
        return Difference(model=self.name, found=found, done=done)


def _before(home: Home, tracking_uri: str) -> Iterator[Difference]:
    """Make a damaged record of what serves again, before anything at the server is held against it."""
    damaged = set_damaged_aside(home.serve)
    if damaged is None:
        return
    yield damaged
    try:
        known = _champions(home, tracking_uri)
        for name, version in known.items():
            record_from_store(home.serve, name, version, Registry(tracking_uri, name).version(version).release)
    except GlocalError as error:
        yield Difference(model="", found=f"The registry cannot be read: {error}", done="")


def _settle(home: Home, tracking_uri: str, site: Site | None) -> Iterator[Difference]:
    """Every model's aliases and ledger against what is on record as serving."""
    if site is None:
        yield from _before(home, tracking_uri)
    try:
        for name in sorted(_champions(home, tracking_uri).keys() | read_deployed(home.serve.deployed).keys()):
            model = _Model(home, name, Registry(tracking_uri, name), Ledger(tracking_uri, name), site)
            yield from _close_killed(model, own=_is_own(home, tracking_uri))
            yield from _follow_alias(model)
            if halves := model.registry.remove_halves():
                yield model.says(f"The registry held {halves} release(s) whose registration was cut short.", "Removed.")
    except StorageFailed as error:
        yield Difference(model="", found=error.headline, done="What was deployed serves on.", remedy=error.hint)
    except GlocalError as error:
        yield Difference(model="", found=f"The registry cannot be read: {error}", done="What was deployed serves on.")


def _champions(home: Home, tracking_uri: str) -> dict[str, str]:
    """The champions that concern this home: all of its own registry; of a shared one, those that it has served."""
    file = sqlite_file(tracking_uri)
    if file is not None and not file.exists():
        return {}
    found = champions(tracking_uri)
    if _is_own(home, tracking_uri):
        return found
    served = _recorded(home.serve) | stored_names(home.serve)
    return {name: version for name, version in found.items() if name in served}


def _recorded(folder: ServeFolder) -> set[str]:
    try:
        return set(read_deployed(folder.deployed))
    except InvalidInput:
        return set()


def _is_own(home: Home, tracking_uri: str) -> bool:
    return tracking_uri == home.tracking_uri


def _close_killed(model: _Model, *, own: bool) -> Iterator[Difference]:
    """Rules 1 and 2: close the entries of deployments that were killed; nobody else deploys while we hold the lock."""
    for entry in model.ledger.unfinished():
        if not own and entry.place not in {"", place(model.home)}:
            continue
        serving, champion = model.deployed, model.registry.alias("champion")
        verified = serving is not None and (serving.version, serving.release) == (entry.version, entry.release)
        if verified and champion in {entry.version, entry.before or None}:
            model.registry.make_champion(entry.version, entry.before or None)
            model.ledger.close(entry.id, "promoted")
            yield model.says(
                f"The deployment of version {entry.version} was cut short after it had verified.", "Its aliases were moved."
            )
        else:
            yield _rolled_back(model, entry, serving)


def _rolled_back(model: _Model, entry: Promotion, serving: Deployed | None) -> Difference:
    model.ledger.close(entry.id, "killed")
    remains = f"Version {serving.version} serves." if serving else "Nothing serves under this name."
    return model.says(f"The deployment of version {entry.version} was cut short.", f"It was rolled back. {remains}")


def _follow_alias(model: _Model) -> Iterator[Difference]:
    """Rules 3 and 4: what serves, against the alias."""
    serving, champion = model.deployed, model.registry.alias("champion")
    if champion == (serving.version if serving else None):
        return
    if champion is not None:
        stands = f"Version {serving.version} serves" if serving else "Nothing serves under this name"
        wish = f"{stands}, and the alias champion points at version {champion}."
        yield model.says(wish, _deploy_wish(model, champion, serving) if model.site else _AT_START)
    elif serving is not None and model.registry.has(serving.version):
        model.registry.set_alias(serving.version, "champion")
        yield model.says(f"Version {serving.version} serves, and no version had the alias champion.", "It has it again.")
    elif serving is not None:
        wanting = f"Version {serving.version} serves, and the registry does not have it any more."
        yield model.says(wanting, "It serves until another version is promoted.")


def _deploy_wish(model: _Model, version: str, serving: Deployed | None) -> str:
    """Deploy the version that somebody pointed the alias at; returns what was done, in words."""
    before = serving.version if serving else ""
    why = f"the alias champion was moved from {before or 'nothing'} to {version} in the registry"
    found = model.registry.version(version)
    entry = model.ledger.begin(
        by=current_user(), why=why, before=before, version=version, release=found.release, place=place(model.home)
    )
    try:
        with scratch_folder("deploy") as scratch:
            _switch(model, version, model.registry.fetch(version, scratch / "release"), serving)
    except GlocalError as error:
        model.ledger.close(entry, "failed", why=f"{why}: {error}")
        return f"It could not be deployed: {error} {_put_back(model, serving)}"
    model.registry.make_champion(version, before or None)
    model.ledger.close(entry, "promoted")
    return f"Version {version} answered its golden queries and serves."


def _switch(model: _Model, version: str, folder: Path, serving: Deployed | None) -> None:
    if model.site is not None:
        release, workers = open_release(folder), serving.workers if serving else 1
        old = switch_over(model.site, release, version, name=model.name, workers=workers)
        retire(model.site, release, model.name, old)


def _put_back(model: _Model, serving: Deployed | None) -> str:
    if serving is not None and model.registry.has(serving.version):
        model.registry.set_alias(serving.version, "champion")
        return f"The alias points at version {serving.version} again."
    return "The alias was left where it is."
