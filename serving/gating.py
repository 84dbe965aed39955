"""The gate: a release against floors, budgets and the champion that serves, on the same queries."""

import tempfile
from pathlib import Path

from model.config import GateConfig, ServeConfig, served_name
from model.data.manifest import read_manifest
from model.data.versions.fetch import fetch
from model.errors import Conflict
from model.evaluation.gate import Champion, Evidence, check_belong_together, decide
from model.evaluation.metrics import PerQuery
from model.evaluation.report import CANDIDATE, REPORT, UNTRAINED
from model.home import Home
from model.progress import Progress
from model.release import Release, open_release
from model.schemas.data_pin import DataPin
from model.schemas.decision import Decision
from model.schemas.report import Report
from serving.reconcile import log_differences, reconcile
from serving.registry.models import Registry

DECISION = "decision.json"


def gate_release(
    pin: DataPin,
    config: GateConfig,
    serve: ServeConfig,
    release: Path,
    report: Path,
    out: Path,
    *,
    tracking_uri: str,
    home: Home,
    progress: Progress | None = None,
) -> Decision:
    """Decide whether a release may be registered under a name, and write `out`/decision.json.

    Args:
        pin: The data; the champion answers the same queries.
        config: The thresholds.
        serve: Names the registered model whose champion is compared, and says whether it may be of another data set.
        release: The candidate.
        report: The folder of its report.
        out: The folder of the decision; made where it is missing.
        tracking_uri: The registry.
        home: Where versions of data are kept.
        progress: Called after every batch, where the champion has to embed the test images.

    Raises:
        InvalidInput: Report, release and data do not belong together, or one of them is damaged.
        Conflict: The champion was made from a data set of another name.
    """
    found, candidate = Report.load(report / REPORT), open_release(release)
    check_belong_together(found, candidate.id, pin)
    data = fetch(pin, home.data, home.datasets)
    evidence = _evidence(found, report, data)
    log_differences(reconcile(home, tracking_uri))
    registry = Registry(tracking_uri, served_name(serve, pin.path))
    champion = _champion(registry, candidate, pin, data, evidence.candidate, serve.replace_other_data, progress)
    decision = decide(evidence, champion, config)
    decision.save(out / DECISION)
    return decision


def _evidence(found: Report, folder: Path, data: Path) -> Evidence:
    manifest = read_manifest(data)
    return Evidence(
        release=found.release,
        candidate=PerQuery.load(folder / CANDIDATE),
        untrained=PerQuery.load(folder / UNTRAINED),
        groups=manifest.select(manifest.rows("test")).grouping,
        latency_ms=found.latency.fastest_ms,
        size_mb=found.size_mb,
    )


def _champion(
    registry: Registry,
    candidate: Release,
    pin: DataPin,
    data: Path,
    figures: PerQuery,
    replace_other_data: bool,
    progress: Progress | None,
) -> Champion | None:
    """The serving champion and what it makes of the same queries; None before there is one."""
    version = registry.alias("champion")
    if version is None:
        return None
    if registry.version(version).release == candidate.id:
        return Champion(registry.name, version, pin.named, figures)
    from model.evaluation.evaluate import query_test_classes  # torch, which most gates do without

    with tempfile.TemporaryDirectory(prefix="glocal-gate-") as scratch:
        champion = open_release(registry.fetch(version, Path(scratch) / "release"))
        if champion.pin.path != pin.path and not replace_other_data:
            raise Conflict(
                f"The champion of {registry.name} is version {version}, trained on {champion.pin.named}; "
                f"this run's data are {pin.named}.",
                "Register the model under another name with serve.name, or set serve.replace_other_data=true.",
            )
        found = query_test_classes(champion, data, pin.md5, progress)
    return Champion(registry.name, version, champion.pin.named, found)
