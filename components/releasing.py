"""How a release reaches its users: into the registry, behind the endpoint, and asked once more from outside."""

from pathlib import Path
from typing import Any

from components.runtime.step import Step, run_evidence
from model.config import ServeConfig
from model.environment import current_user
from model.errors import GlocalError
from model.evaluation.card import CARD
from model.evaluation.report import RECORDED
from model.files import read_json
from model.release import open_release
from serving.backends.torchserve.rollout import deploy, same_neighbours
from serving.client import query
from serving.registry.models import Registry


def register_release(name: str, release: Path, report: Path, current: Step) -> str:
    """Register with the report's figures as evidence and the model card as description; a new version becomes the challenger."""
    found = read_json(report / "report.json")
    registry = Registry(current.environment.mlflow_uri, name)
    figures, card = {figure: found[figure] for figure in RECORDED}, (report / CARD).read_text(encoding="utf-8")
    version = registry.register(release, figures, current.environment.run_id or None, card=card)
    if registry.alias("champion") != version:
        registry.set_alias(version, "challenger")
    current.tags |= {"version": version}
    run_evidence(current.environment, {}, {"model": name, "model_version": version}, {})
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
