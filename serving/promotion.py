"""Registration of a release, promotion of a registered version, and the smoke test of what serves: one function each.

A promotion deploys the version beside the one that serves, as `serving.deployment` says. `serving.reconcile` completes or
rolls back a promotion that was cut short.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

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
from model.schemas.approval import Approval
from model.schemas.decision import DECISION, Decision
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Deployment
from model.schemas.report import Report
from model.schemas.run_record import RunRecord
from serving.approval import give_word
from serving.client import Client
from serving.deployment import ModelRecords, deploy_version, fetched_release, locked_endpoint
from serving.golden import replay_golden
from serving.history import refuse_changed_history
from serving.other_data import refuse_other_data
from serving.reconcile import log_differences, reconcile_endpoint
from serving.registry.models import Registry
from serving.registry.store import refuse_lost_records
from serving.rollout.endpoint import DEPLOYMENT_WAIT_S, Endpoint
from serving.rollout.switch import deployment, refuse_two_releases, switch_over


def register_release(
    release_folder: Path,
    report_folder: Path,
    decision_folder: Path,
    config: ServeConfig,
    *,
    tracking_uri: str,
    run: RunRecord | None = None,
) -> ModelVersion:
    """Keep a release in the registry, with the report's figures as evidence and the model card as description.

    A new version becomes the challenger. A release that is registered already keeps its version.

    Args:
        release_folder: Folder of the release.
        report_folder: Folder of the report on this release.
        decision_folder: Folder of the gate's decision on this release.
        config: Name of the registered model, and whether its champion may be of another data set.
        tracking_uri: Address of the registry.
        run: The run that made the release.

    Raises:
        InvalidInput: The release is not whole, or report or decision are on another release or other data.
        Conflict: The gate refused the release, or the champion was made from another data set.
    """
    release = open_release(release_folder)
    report, decision = Report.load(report_folder / REPORT), Decision.load(decision_folder / DECISION)
    check_belong_together(report, release.id, release.pin)
    check_decided(decision, release.id)
    registry = Registry(tracking_uri, served_name(config, release.pin.path))
    refuse_other_data(registry, release.pin, allowed=config.replace_other_data)
    card = render_card(report, run=run, decision=decision)
    version = registry.register(
        release,
        report.recorded(),
        run.id if run else None,
        card=card,
        intervals=report.intervals,
        documents={"report": report_folder, "decision": decision_folder},
        approval=decision.approval,
        starter=run.user if run else "",
    )
    if registry.make_challenger(version):
        registry.replace_card(version, render_card(report, run=run, decision=decision, version=registry.version(version).label))
    return registry.version(version)


def promote_release(
    release_folder: Path,
    version: str,
    config: ServeConfig,
    *,
    home: Home,
    tracking_uri: str,
    by: str = "",
    why: str,
    instead_of: str | None = None,
) -> Deployment:
    """`promote` a version whose release is at hand, as a run's configuration says.

    Args:
        release_folder: Folder of the version's release.
        version: The version.
        config: Name and workers of the served model, and whether its champion may be of another data set.
        home: GLOCAL_HOME.
        tracking_uri: Address of the registry.
        by: The user who asks for the promotion; default: the user of this process.
        why: The reason, for the ledger.
        instead_of: The version that must still be champion; empty: none may be; None: any.
    """
    release = open_release(release_folder)
    return promote(
        version,
        home=home,
        tracking_uri=tracking_uri,
        name=served_name(config, release.pin.path),
        by=by,
        why=why,
        release=release,
        workers=config.workers,
        replace_other_data=config.replace_other_data,
        instead_of=instead_of,
    )


def promote(
    version: str,
    *,
    home: Home,
    tracking_uri: str,
    name: str,
    by: str = "",
    why: str,
    release: Release | None = None,
    workers: int | None = None,
    replace_other_data: bool = False,
    instead_of: str | None = None,
    locked: Endpoint | None = None,
    lock_wait_s: float = DEPLOYMENT_WAIT_S,
) -> Deployment:
    """Make a registered version the one that serves, and the champion.

    Args:
        version: The version.
        home: GLOCAL_HOME, whose endpoint serves; it is started if it does not run.
        tracking_uri: Address of the registry.
        name: Name of the registered and served model.
        by: The user who asks for the promotion; default: the user of this process.
        why: The reason, for the ledger.
        release: The version's release; default: fetched from the registry.
        workers: Number of worker processes; default: as many as the version that serves has.
        replace_other_data: Whether the champion may be of another data set.
        instead_of: The version that must still be champion; empty: none may be; None: any.
        locked: The endpoint, whose lock of deployments the caller holds; default: the home's, locked here.
        lock_wait_s: Seconds to wait for another deployment to finish.

    Raises:
        NotFound: There is no such version.
        InvalidInput: The release is not whole, or is not the one that was registered; or the history was changed.
        Conflict: Another deployment does not finish, the champion was made from another data set, or another version became
            champion than `instead_of`.
        StorageFailed: The registry's database is lost or damaged.
        GlocalError: The version cannot be loaded or does not verify; what served before still serves, and no alias moved.
    """
    claim(home)
    refuse_lost_records(tracking_uri, home)
    model = ModelRecords.open(home, tracking_uri, name)
    wanted = model.registry.version(version)
    with (
        _release_of(model.registry, wanted, release) as opened,
        nullcontext(locked) if locked else locked_endpoint(home, wait_s=lock_wait_s) as endpoint,
    ):
        log_differences(reconcile_endpoint(home, tracking_uri, endpoint))
        before, serving = model.registry.alias("champion"), endpoint.serving(name)
        if serving is not None and serving.version == version:
            refuse_two_releases(endpoint, name, serving, wanted.release)
        refuse_changed_history(home, tracking_uri)
        refuse_other_data(model.registry, opened.pin, allowed=replace_other_data)
        if instead_of is not None and before != version:
            refuse_another_champion(name, before, instead_of)
        workers = workers or (serving.workers if serving else 1)
        if before == version and serving is not None and serving.version == version:
            switch_over(endpoint, opened, version, name=name, workers=workers)
            return deployment(endpoint, opened, version, name)
        return deploy_version(
            model, endpoint, wanted, nullcontext(opened), before=before, by=by or current_user(), why=why, workers=workers
        )


def approve(
    version: str,
    *,
    home: Home,
    tracking_uri: str,
    name: str,
    by: str,
    why: str,
    replace_other_data: bool = False,
    instead_of: str | None = None,
) -> tuple[Approval, Deployment | None]:
    """An operator approves a version; it is promoted if that was the last word it needed.

    Args:
        version: The version.
        home: GLOCAL_HOME, whose endpoint serves.
        tracking_uri: Address of the registry.
        name: Name of the registered and served model.
        by: Name of the operator.
        why: The reason.
        replace_other_data: Whether the champion may be of another data set.
        instead_of: The version that must still be champion; empty: none may be; None: any.

    Returns:
        What operators have said, and the promotion; None while others must approve it, or one refuses it.

    Raises:
        NotFound, InvalidInput, Forbidden: As `serving.approval.give_word`; nothing is on record.
        Conflict: The champion was made from another data set, or is another version than `instead_of`; nothing is on record.
        GlocalError: As `promote`; the word is on record.
    """
    model = ModelRecords.open(claim(home), tracking_uri, name)
    champion = model.registry.alias("champion")
    if instead_of is not None and champion != version:
        refuse_another_champion(name, champion, instead_of)
    refuse_other_data(model.registry, model.registry.files.manifest(version).data, allowed=replace_other_data)
    said = give_word(model.registry, model.ledger, version, "approved", by=by, why=why)
    if not said.may_serve:
        return said, None
    return said, promote(
        version,
        home=home,
        tracking_uri=tracking_uri,
        name=name,
        by=by,
        why=f"{why} (approved by {', '.join(said.approved)})",
        replace_other_data=replace_other_data,
        instead_of=champion or "",
    )


def refuse(version: str, *, home: Home, tracking_uri: str, name: str, by: str, why: str) -> Approval:
    """An operator refuses a version, before it serves; returns what operators have said.

    Args:
        version: The version.
        home: GLOCAL_HOME, whose endpoint serves.
        tracking_uri: Address of the registry.
        name: Name of the registered model.
        by: Name of the operator.
        why: The reason.

    Raises:
        NotFound, InvalidInput: As `serving.approval.give_word`; nothing is on record.
        Conflict: It is champion, or a version is being deployed, which may be this one; nothing is on record.
    """
    model = ModelRecords.open(claim(home), tracking_uri, name)
    with hold(home.serve.deploy_lock, wait_s=0, busy="What serves is being changed at this moment."):
        if model.registry.alias("champion") == version:
            raise Conflict(
                f"{name} version {version} is champion.", f"Roll back first: glocal rollback --name {name} --why REASON."
            )
        return give_word(model.registry, model.ledger, version, "refused", by=by, why=why)


def refuse_another_champion(name: str, champion: str | None, expected: str) -> None:
    """Refuse what was made to replace a champion that is none any more.

    Args:
        name: Name of the model.
        champion: The champion; None if there is none.
        expected: The version that it should be; empty for none.

    Raises:
        Conflict: Another version, or none, is champion.
    """
    if (champion or "") != expected:
        was = f"Version {expected} of {name}" if expected else f"No version of {name}"
        now = f"version {champion} is" if champion else "no version is"
        raise Conflict(f"{was} was champion, and {now} now.", "The same command again starts from there.")


def smoke(client: Client, release_folder: Path, config: ServeConfig) -> None:
    """Ask the version that serves the golden queries, as a user would.

    Args:
        client: A client of the endpoint.
        release_folder: Folder of the release that must answer.
        config: Name of the served model.

    Raises:
        GlocalError: Another release answers, or with other neighbours than this release must give.
    """
    release = open_release(release_folder)
    replay_golden(release, client, served_name(config, release.pin.path))


@contextmanager
def _release_of(registry: Registry, version: ModelVersion, release: Release | None) -> Iterator[Release]:
    """The release of a version, with its signature: the one that is given, or a fetched copy for the duration of the block.

    Raises:
        InvalidInput: The given release is not the registered one.
    """
    if release is None:
        with fetched_release(registry, version.version) as fetched:
            yield fetched
        return
    if release.id != version.release:
        headline = f"{registry.name} {version.version} is release {version.release}, not {release.id}."
        raise InvalidInput(headline, "Promote the version that holds this release, or register it as a new one.")
    yield replace(release, signature=registry.files.signature(version.version))
