"""How the gate comes by its evidence: the candidate's figures, and the champion's on the same queries."""

import tempfile
from pathlib import Path
from typing import Any

from components.pinning import fetch_data
from components.runtime.step import Step, run_evidence
from components.training_record import record_training
from model.config import GateConfig
from model.data.manifest import read_manifest
from model.evaluation.gate import Rules, decide
from model.evaluation.metrics import PerQuery
from model.evaluation.report import RECORDED
from model.files import read_json
from model.release import open_release
from serving.registry.models import Registry


def judge(
    pin: dict[str, Any], settings: dict[str, Any], name: str, release: Path, report: Path, decision: Path, current: Step
) -> bool:
    """Put the report on the record of the run, decide, and put the decision there too."""
    config, found = GateConfig(**settings), read_json(report / "report.json")
    tags = {"md5": pin["md5"], "release": found["release"]}
    run_evidence(current.environment, {figure: found[figure] for figure in RECORDED}, tags, {"report": report})
    if training := found.get("training"):
        record_training(training["history"], training["best_epoch"], current, saturated=training.get("saturated", False))
    _, data = fetch_data(pin, current)
    manifest = read_manifest(data)
    test = manifest.select(manifest.rows("test"))
    verdict = decide(
        PerQuery.load(report / "candidate.npz"),
        PerQuery.load(report / "untrained.npz"),
        _champion(pin, name, release, report, current),
        Rules(**config.model_dump()),
        latency_ms=found["latency_ms"],
        size_mb=found["size_mb"],
        groups=test.grouping,
    )
    decision.mkdir(parents=True, exist_ok=True)
    verdict.save(decision / "decision.json")
    refused = "\n".join(rule["text"] for rule in verdict.rules if not rule["held"])
    outcome = {"passed": str(verdict.passed), "refused": refused}
    current.tags |= tags | outcome
    run_evidence(current.environment, {}, outcome, {"decision": decision})
    return verdict.passed


def _champion(pin: dict[str, Any], name: str, release: Path, report: Path, current: Step) -> PerQuery | None:
    """What the serving champion makes of the same queries; None before there is one."""
    registry = Registry(current.environment.mlflow_uri, name)
    version = registry.alias("champion")
    if version is None:
        return None
    if registry.tags(version).get("release") == open_release(release).id:
        return PerQuery.load(report / "candidate.npz")
    from model.evaluation.evaluate import query_test_classes  # torch, which most gates do without

    parsed, folder = fetch_data(pin, current)
    with tempfile.TemporaryDirectory() as scratch:
        champion = open_release(registry.fetch(version, Path(scratch) / "release"))
        return query_test_classes(champion, folder, parsed.md5, current.progress)
