"""What reaches the users: a release registered, and a registered version promoted to serve. One function each.

A promotion deploys the version beside the one that serves, replays its golden queries at the endpoint, makes it the default,
moves the aliases and closes its entry in the ledger, in this order. `serving.reconcile` completes or rolls back what is cut
short in between.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from model.claim import claim
from model.config import ServeConfig, served_name
from model.environment import current_user
from model.errors import Conflict, InvalidInput
from model.evaluation.card import render_card
from model.evaluation.gate import check_belong_together, check_decided
from model.evaluation.report import REPORT
from model.home import Home
from model.locks import hold
from model.release import Release, open_release
from model.schemas.decision import Decision
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Deployment
from model.schemas.report import Report
from model.schemas.run_record import RunRecord
from model.scratch import scratch_folder
from serving.backends.torchserve.rollout import deployment, retire, switch_over
from serving.backends.torchserve.server import ensure
from serving.backends.torchserve.site import connect
from serving.gating import DECISION
from serving.golden import replay_golden
from serving.reconcile import log_differences, place, reconcile_site
from serving.registry.ledger import Ledger
from serving.registry.models import Registry


def register_release(
    release: Path, report: Path, decision: Path, config: ServeConfig, *, tracking_uri: str, run: RunRecord | None = None
) -> ModelVersion:
    """Keep a release in the registry, with the report's figures as evidence and the model card as description.

    A new version becomes the challenger. A release that is registered already keeps its version.

    Args:
        release: The release folder.
        report: The folder of the report on this release.
        decision: The folder of the gate's decision on this release.
        config: The name of the registered model, and whether its champion may be of another data set.
        tracking_uri: The registry.
        run: The run that made the release.

    Raises:
        InvalidInput: The release is not whole, or report or decision are on another release or other data.
        Conflict: The gate refused the release, or the champion was made from another data set.
    """
    opened, found, decided = open_release(release), Report.load(report / REPORT), Decision.load(decision / DECISION)
    check_belong_together(found, opened.id, opened.pin)
    check_decided(decided, opened.id)
    registry = Registry(tracking_uri, served_name(config, opened.pin.path))
    refuse_other_data(registry, opened.pin.path, allowed=config.replace_other_data)
    card = render_card(found, run=run, decision=decided)
    version = registry.register(release, found.recorded(), run.id if run else None, card=card)
    if registry.alias("champion") != version:
        registry.set_alias(version, "challenger")
        registry.describe(version, render_card(found, run=run, decision=decided, version=registry.version(version).label))
    return registry.version(version)


def promote_release(
    release: Path, version: str, config: ServeConfig, *, home: Home, tracking_uri: str, by: str = "", why: str
) -> Deployment:
    """`promote` a version whose release is at hand, as a run's configuration says.

    Args:
        release: The version's release.
        version: The version.
        config: The served model's name and workers, and whether its champion may be of another data set.
        home, tracking_uri, by, why: As for `promote`.
    """
    return promote(
        version,
        home=home,
        tracking_uri=tracking_uri,
        name=served_name(config, open_release(release).pin.path),
        by=by,
        why=why,
        release=release,
        workers=config.workers,
        replace_other_data=config.replace_other_data,
    )


def promote(
    version: str,
    *,
    home: Home,
    tracking_uri: str,
    name: str,
    by: str = "",
    why: str,
    release: Path | None = None,
    workers: int = 1,
    outcome: Literal["promoted", "rolled back"] = "promoted",
    replace_other_data: bool = False,
    lock_wait_s: float = 180,
) -> Deployment:
    """Make a registered version the one that serves, and the champion.

    Args:
        version: The version.
        home: GLOCAL_HOME, whose endpoint serves; TorchServe is started where it does not run.
        tracking_uri: The registry.
        name: Of the registered and served model.
        by: Who asks for it; default: the user of this process.
        why: The reason, for the ledger.
        release: The version's release as a folder; default: fetched from the registry.
        workers: Worker processes that serve it.
        outcome: How the ledger calls it.
        replace_other_data: Whether the champion may be of another data set.
        lock_wait_s: For another deployment to finish.

    Raises:
        NotFound: There is no such version.
        InvalidInput: The release is not whole, or is not the one that was registered.
        Conflict: Another deployment does not finish, or the champion was made from another data set.
        GlocalError: The version cannot be loaded or does not verify; what served before still serves, and no alias moved.
    """
    claim(home)
    registry = Registry(tracking_uri, name)
    found = registry.version(version)
    with (
        _release_of(registry, found, release) as opened,
        hold(home.serve.deploy_lock, wait_s=lock_wait_s, busy="Another deployment is under way."),
        connect(home.serve, ensure(home.serve)) as site,
    ):
        log_differences(reconcile_site(home, tracking_uri, site))
        refuse_other_data(registry, opened.pin.path, allowed=replace_other_data)
        before, serving = registry.alias("champion"), site.serving(name)
        if before == version and serving is not None and serving.version == version:
            switch_over(site, opened, version, name=name, workers=workers)
            return deployment(site, opened, version, name)
        ledger = Ledger(tracking_uri, name)
        entry = ledger.begin(
            by=by or current_user(), why=why, before=before or "", version=version, release=opened.id, place=place(home)
        )
        with _closed_if_failed(ledger, entry, why):
            old = switch_over(site, opened, version, name=name, workers=workers)
        registry.make_champion(version, before)
        ledger.close(entry, outcome)
        retire(site, opened, name, old)
        return deployment(site, opened, version, name)


def smoke(address: str, release: Path, config: ServeConfig) -> None:
    """Ask the version that serves the golden queries, as a user would.

    Raises:
        GlocalError: Another release answers, or with other neighbours than this release must give.
    """
    opened = open_release(release)
    replay_golden(opened, address, served_name(config, opened.pin.path))


def refuse_other_data(registry: Registry, data_name: str, *, allowed: bool) -> None:
    """A run never replaces a model of other data unasked.

    Raises:
        Conflict: The champion was made from another data set.
    """
    champion = registry.champion()
    if champion is None or allowed:
        return
    served = registry.data_name(champion)
    if served != data_name:
        raise Conflict(
            f"The champion of {registry.name} is version {champion.version}, of {served or 'unknown'} data; this is {data_name}.",
            "Give it a name of its own (serve.name), or set serve.replace_other_data=true.",
        )


@contextmanager
def _release_of(registry: Registry, version: ModelVersion, given: Path | None) -> Iterator[Release]:
    """The release of a version, opened: the folder that is given, or a fetched copy."""
    if given is None:
        with scratch_folder("promote") as scratch:
            yield open_release(registry.fetch(version.version, scratch / "release"))
        return
    opened = open_release(given)
    if opened.id != version.release:
        headline = f"{registry.name} {version.version} is release {version.release}, not {opened.id}."
        raise InvalidInput(headline, "Promote the version that holds this release, or register it as a new one.")
    yield opened


@contextmanager
def _closed_if_failed(ledger: Ledger, entry: str, why: str) -> Iterator[None]:
    """Close the ledger's entry where the deployment fails; whoever is stopped leaves it to `serving.reconcile`."""
    try:
        yield
    except Exception as error:
        ledger.close(entry, "failed", why=f"{why}: {error}")
        raise
