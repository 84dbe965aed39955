"""Reconciliation of what serves: what is loaded, `deployed.json` and the alias `champion`.

The rules, and why, are in docs/decisions/0009-one-truth-of-what-serves.md:

1. A deployment that was killed after `deployed.json` was written had verified: its aliases are moved now.
2. A deployment that was killed before is rolled back: the version in `deployed.json` answers again.
3. An alias that was moved by hand is a wish: the version is deployed once it has answered its golden queries. If it does not,
   the alias goes back to the version that serves.
4. A version that serves and was deleted from the registry serves on, and every reconciliation reports it.
5. A version that serves, while the registry has another release under its number, serves on. No alias is moved onto that number,
   and a person is told what to do.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from functools import partial

from model.claim import claim
from model.environment import current_user
from model.errors import Conflict, GlocalError, NotFound, StorageFailed
from model.home import Home, ServeFolder
from model.locks import may_hold
from model.schemas.status import Difference, ServerStatus
from model.scratch import remove_abandoned
from serving import backends, server
from serving.backends.port import Backend
from serving.deployment import ModelRecords, deploy_version, fetched_release, locked_endpoint, serving_place
from serving.rebuilding import rebuild_record
from serving.registry.models import Registry, champions
from serving.registry.store import refuse_lost_records, sqlite_file
from serving.rollout.challenge import restore_challengers
from serving.rollout.deployed import Deployed, damage, read_deployed, readable_deployed
from serving.rollout.endpoint import DEPLOYMENT_WAIT_S, Endpoint, connect, deploying
from serving.rollout.leftovers import clear_store, stored_models
from serving.rollout.restoring import restore, strays, tidy
from serving.rollout.switch import switch_over, two_releases

_log = logging.getLogger(__name__)
_AT_START = "It will be deployed by glocal serve start."
_KEPT = "Nothing was removed."
_ONCE_READABLE = "Once the registry can be read, glocal serve start puts on record again what was deployed."
_NO_ALIAS = "It serves on, and no alias was moved."
_NOT_COMPARED = "The records were not compared with the registry."


def start_server(home: Home, tracking_uri: str) -> ServerStatus:
    """Start the endpoint unless it runs, bring back the deployed versions, and reconcile them with the registry.

    The server of models is the one that the setting names; another one that runs is replaced.
    """
    claim(home)
    ran, backend = backends.running(home.serve), backends.chosen()
    server_files = backend.damages(home.serve)
    with locked_endpoint(home, backend) as endpoint:
        differences = reconcile_endpoint(home, tracking_uri, endpoint)
    switched = [_switched(ran, backend)] if ran is not None and ran is not backend else []
    return server.status(home).model_copy(update={"differences": (*server_files, *switched, *differences)})


def server_status(home: Home, tracking_uri: str) -> ServerStatus:
    """The state of the endpoint, after the records of killed deployments were put right; deploys nothing.

    A user who may not take the lock of deployments sees the state alone, and nothing is written.
    """
    if not home.serve.root.exists():
        return server.status(home)
    if may_hold(home.serve.deploy_lock):
        differences = reconcile(home, tracking_uri, deploy=False, lock_wait_s=0)
    else:
        differences = (Difference(model="", found=f"{home.root} may not be written to by this user.", done=_NOT_COMPARED),)
    found = server.status(home)
    told = " ".join(difference.found for difference in differences)
    remaining = [each for each in found.differences if each.found not in told]
    return found.model_copy(update={"differences": (*remaining, *differences)})


def reconcile(
    home: Home, tracking_uri: str, *, deploy: bool = True, lock_wait_s: float = DEPLOYMENT_WAIT_S
) -> tuple[Difference, ...]:
    """Bring the server, deployed.json and the aliases together; starts no server.

    Args:
        home: GLOCAL_HOME.
        tracking_uri: Address of the registry.
        deploy: Whether a version that somebody pointed `champion` at is deployed, if the server answers.
        lock_wait_s: Seconds to wait for a deployment that is under way.

    Returns:
        Every difference, and what was done about it.
    """
    if not home.serve.root.exists():
        return ()
    try:
        with deploying(home.serve, wait_s=lock_wait_s):
            running = server.answering(home)
            if running is None:
                return tuple(_reconcile_records(home, tracking_uri, None))
            with connect(home.serve, running) as endpoint:
                if deploy:
                    return reconcile_endpoint(home, tracking_uri, endpoint)
                return tuple(_reconcile_records(home, tracking_uri, endpoint))
    except Conflict as error:
        return (Difference(model="", found=error.headline, done="The records were left as they are."),)


def reconcile_endpoint(home: Home, tracking_uri: str, endpoint: Endpoint) -> tuple[Difference, ...]:
    """`reconcile` at a server that runs; the caller holds the lock of deployments.

    What is on record is brought back in any case. Nothing is removed while the registry cannot be read.
    """
    differences, readable = _settle_record(home, tracking_uri, endpoint)
    if damage(home.serve.deployed) is None:
        differences += restore(endpoint, partial(_redeploy, home, tracking_uri, endpoint))
        differences += restore_challengers(endpoint)
    if readable:
        differences += tidy(endpoint)
        differences += clear_store(endpoint.folder)
        differences += _reconcile_models(home, tracking_uri, endpoint)
        remove_abandoned()
    return tuple(differences)


def log_differences(differences: Iterable[Difference]) -> None:
    """Write differences to this process's log."""
    for difference in differences:
        _log.warning("%s", difference)


def _switched(ran: Backend, backend: Backend) -> Difference:
    wanted = f"GLOCAL_BACKEND is {backend.name}" if "GLOCAL_BACKEND" in os.environ else f"{backend.name} is the default"
    was = f"The server of models was {ran.name}, and {wanted}."
    return Difference(model="", found=was, done=f"What is on record serves under {backend.name}.")


def _settle_record(home: Home, tracking_uri: str, endpoint: Endpoint | None) -> tuple[list[Difference], bool]:
    """Rebuild deployed.json where that is needed; returns the differences, and whether the registry can be read."""
    differences: list[Difference] = []
    try:
        _champions(home, tracking_uri)  # before a damaged file is set aside
        differences.extend(rebuild_record(home, tracking_uri, endpoint))
    except GlocalError as error:
        return [*differences, _unread(error, _not_on_record(home.serve))], False
    return differences, True


def _reconcile_records(home: Home, tracking_uri: str, endpoint: Endpoint | None) -> Iterator[Difference]:
    """Put the records alone right; the server, if one runs, is only read."""
    differences, readable = _settle_record(home, tracking_uri, endpoint)
    yield from differences
    if readable:
        yield from _reconcile_models(home, tracking_uri, None)
    if endpoint is not None and damage(home.serve.deployed) is None:
        yield from strays(endpoint)


def _reconcile_models(home: Home, tracking_uri: str, endpoint: Endpoint | None) -> Iterator[Difference]:
    """Compare the aliases and the ledger of every model with deployed.json."""
    try:
        for name in sorted(_champions(home, tracking_uri).keys() | read_deployed(home.serve.deployed).keys()):
            model = ModelRecords.open(home, tracking_uri, name)
            yield from _close_killed(model, own=_is_own(home, tracking_uri))
            yield from _follow_alias(model, endpoint)
            yield from _free_previous(model)
            if unfinished := model.registry.remove_unfinished():
                was = f"The registry held {unfinished} release(s) whose registration was cut short."
                yield Difference(model=name, found=was, done="Removed.")
    except GlocalError as error:
        yield _unread(error)


def _unread(error: GlocalError, lost: str = "") -> Difference:
    """The difference that a registry which cannot be read leaves.

    Only a person can put a damaged database right, or bring back what is `lost`: see `_not_on_record`.
    """
    if isinstance(error, StorageFailed):
        found, remedy = error.headline, error.hint
    else:
        found, remedy = f"The registry cannot be read: {error}", ""
    if lost:
        found, remedy = f"{found} {lost}", f"{remedy} {_ONCE_READABLE}".strip()
    return Difference(model="", found=found, done=_KEPT, remedy=remedy)


def _not_on_record(folder: ServeFolder) -> str:
    """A damaged deployed.json, and the models whose archives are stored and not on record, in sentences; empty without them."""
    damaged, lost = damage(folder.deployed), stored_models(folder) - readable_deployed(folder.deployed).keys()
    sentences = [damaged.headline] if damaged else []
    if lost:
        sentences.append(f"Stored, but not on record: {', '.join(sorted(lost))}.")
    return " ".join(sentences)


def _redeploy(home: Home, tracking_uri: str, endpoint: Endpoint, name: str, entry: Deployed) -> None:
    """Deploy the version on record from the registry's release, as its archive is damaged.

    Raises:
        GlocalError: The registry does not have the release, or it does not verify.
    """
    refuse_lost_records(tracking_uri, home, needed=True)
    registry = Registry(tracking_uri, name)
    with fetched_release(registry, entry.version) as release:
        if release.id != entry.release:
            raise NotFound(f"The registry does not have release {entry.release}.")
        switch_over(endpoint, release, entry.version, name=name, workers=entry.workers)


def _champions(home: Home, tracking_uri: str) -> dict[str, str]:
    """The champions that concern this home: all of its own registry; of a shared one, those that it has served.

    Raises:
        GlocalError: The registry cannot be read, or its file is missing although it had records.
    """
    served = readable_deployed(home.serve.deployed).keys() | stored_models(home.serve)
    refuse_lost_records(tracking_uri, home)
    file = sqlite_file(tracking_uri)
    if file is not None and not os.path.lexists(file):
        return {}
    known = champions(tracking_uri)
    if _is_own(home, tracking_uri):
        return known
    return {name: version for name, version in known.items() if name in served}


def _is_own(home: Home, tracking_uri: str) -> bool:
    return tracking_uri == home.tracking_uri


def _close_killed(model: ModelRecords, *, own: bool) -> Iterator[Difference]:
    """Rules 1 and 2: close the entries of killed deployments; nobody else deploys while this process holds the lock."""
    for entry in model.ledger.unfinished():
        if not own and entry.place not in {"", serving_place(model.home)}:
            continue
        serving, champion = model.deployed, model.registry.alias("champion")
        verified = serving is not None and (serving.version, serving.release) == (entry.version, entry.release)
        verified = verified and model.registry.release_of(entry.version) == entry.release
        if verified and champion in {entry.version, entry.before or None}:
            model.registry.make_champion(entry.version, entry.before or None)
            model.ledger.close(entry.id, "promoted")
            was = f"The deployment of version {entry.version} was cut short after it had verified."
            yield Difference(model=model.name, found=was, done="Its aliases were moved.")
        else:
            model.ledger.close(entry.id, "killed")
            remains = f"Version {serving.version} serves." if serving else "Nothing serves under this name."
            was = f"The deployment of version {entry.version} was cut short."
            yield Difference(model=model.name, found=was, done=f"It was rolled back. {remains}")


def _follow_alias(model: ModelRecords, endpoint: Endpoint | None) -> Iterator[Difference]:
    """Rules 3 to 5: compare the alias with the version that serves."""
    serving, champion = model.deployed, model.registry.alias("champion")
    registered = model.registry.release_of(serving.version) if serving is not None else None
    if serving is not None and champion in {None, serving.version} and registered not in {None, serving.release}:
        clash = two_releases(model.home.serve, serving, str(registered))
        yield Difference(model=model.name, found=clash.headline, done=_NO_ALIAS, remedy=clash.hint)
    elif champion == (serving.version if serving else None):
        return
    elif champion is not None:
        serves = f"Version {serving.version} serves" if serving else "Nothing serves under this name"
        wish = f"{serves}, and the alias champion points at version {champion}."
        yield Difference(
            model=model.name, found=wish, done=_deploy_wish(model, endpoint, champion, serving) if endpoint else _AT_START
        )
    elif serving is not None and registered is not None:
        model.registry.make_champion(serving.version, None)
        was = f"Version {serving.version} serves, and no version had the alias champion."
        yield Difference(model=model.name, found=was, done="It has it again.")
    elif serving is not None:
        was = f"Version {serving.version} serves, and the registry does not have it any more."
        yield Difference(model=model.name, found=was, done="It serves until another version is promoted.")


def _free_previous(model: ModelRecords) -> Iterator[Difference]:
    """Remove the alias `previous` from the champion that serves: somebody moved an alias, and no version is the previous one."""
    serving, champion = model.deployed, model.registry.alias("champion")
    if serving is not None and serving.version == champion == model.registry.alias("previous"):
        model.registry.drop_alias("previous")
        was = f"Version {champion} had the aliases champion and previous."
        yield Difference(model=model.name, found=was, done="The alias previous was removed.")


def _deploy_wish(model: ModelRecords, endpoint: Endpoint, version: str, serving: Deployed | None) -> str:
    """Deploy the version that somebody pointed the alias at; returns a sentence on the outcome."""
    workers = serving.workers if serving else 1
    why = f"the alias champion was moved from {serving.version if serving else 'nothing'} to {version} in the registry"
    before = serving.version if serving and model.registry.release_of(serving.version) == serving.release else None
    wanted, release = model.registry.version(version), fetched_release(model.registry, version)
    try:
        deploy_version(model, endpoint, wanted, release, before=before, by=current_user(), why=why, workers=workers)
    except GlocalError as error:
        if model.deployed != serving:
            return f"Version {version} answered its golden queries and serves. Its promotion was not finished: {error}"
        return f"It could not be deployed: {error} {_put_back(model, serving)}"
    return f"Version {version} answered its golden queries and serves."


def _put_back(model: ModelRecords, serving: Deployed | None) -> str:
    """Point the alias at the version that serves again; returns a sentence on the outcome."""
    if serving is not None and model.registry.release_of(serving.version) == serving.release:
        model.registry.make_champion(serving.version, None)
        return f"The alias points at version {serving.version} again."
    return "The alias was left where it is."
