"""How a release reaches its users: into the registry, behind the endpoint, and asked once more from outside."""

from pathlib import Path
from typing import Any

from components.runtime.reporting import run_of, show_report
from components.runtime.step import Step, run_evidence
from model.config import ServeConfig
from model.environment import current_user
from model.errors import GlocalError
from model.evaluation.card import render_card
from model.evaluation.gate import check_belong_together, check_decided
from model.evaluation.report import REPORT
from model.release import open_release
from model.schemas.decision import Decision
from model.schemas.report import Report
from serving.backends.torchserve.rollout import deploy, same_neighbours
from serving.client import query
from serving.gating import DECISION
from serving.registry.models import Registry


def register_release(name: str, release: Path, report: Path, decision: Path, current: Step) -> str:
    """Register with the report's figures as evidence and the model card as description; a new version becomes the challenger.

    Raises:
        InvalidInput: The report or the decision is of another release.
    """
    found, decided, opened = Report.load(report / REPORT), Decision.load(decision / DECISION), open_release(release)
    check_belong_together(found, opened.id, opened.pin.md5)
    check_decided(decided, opened.id)
    registry, run = Registry(current.environment.mlflow_uri, name), run_of(current)
    card = render_card(found, run=run, decision=decided)
    version = registry.register(release, found.recorded(), current.environment.run_id or None, card=card)
    label = f"{name} version {version}"
    if registry.alias("champion") != version:
        registry.set_alias(version, "challenger")
        registry.describe(version, render_card(found, run=run, decision=decided, version=label))
    current.tags |= {"version": version}
    run_evidence(current.environment, {}, {"model": name, "model_version": version}, {})
    show_report(current, report, decision=decided, version=label)
    return version


def deploy_release(settings: dict[str, Any], version: str, release: Path, why: str, current: Step) -> str:
    """Roll out and, once the golden queries are answered, move the alias; a failure goes into the ledger too."""
    config, environment = ServeConfig(**settings), current.environment
    registry, by = Registry(environment.mlflow_uri, config.name), current_user()
    registry.tags(version)  # before anything is switched over: fails where there is no such version
    try:
        deployed = deploy(release, version, home=environment.home, name=config.name, workers=config.workers)
    except GlocalError as error:
        registry.promote(version, by=by, why=f"{why}: {error}", outcome="failed")
        raise
    if registry.alias("champion") != version:
        registry.promote(version, by=by, why=why)
    tags = {"model": config.name, "model_version": version, "address": deployed["address"]}
    current.tags |= tags
    run_evidence(environment, {}, tags, {})
    return str(deployed["address"])


def smoke(address: str, name: str, version: str, release: Path, current: Step) -> None:
    """Ask the default version a golden query.

    Raises:
        GlocalError: Another version answers, or with other neighbours than the release must give.
    """
    opened = open_release(release)
    golden = opened.golden[0]
    answer = query(address, name, opened.folder / "golden" / golden["file"], len(golden["neighbours"]))
    if answer["release"] != opened.id or not same_neighbours(answer["neighbours"], golden["neighbours"]):
        raise GlocalError(f"{address} does not answer as version {version} must.", "See glocal serve status.")
    current.tags |= {"address": address}
