"""The gate: a release against floors, budgets and the champion that serves, on the same queries."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from model.config import GateConfig, ServeConfig, served_name
from model.data.manifest import Manifest, read_manifest
from model.data.versions.fetch import fetch
from model.evaluation.gate import Champion, Evidence, check_belong_together, decide
from model.evaluation.metrics import PerQuery
from model.evaluation.report import CANDIDATE, REPORT, UNTRAINED
from model.evaluation.won_lost import compare_queries
from model.home import Home
from model.progress import Progress
from model.release import Release, open_release
from model.schemas.comparison import COMPARISON
from model.schemas.data_pin import DataPin
from model.schemas.decision import DECISION, Decision
from model.schemas.report import Report
from serving.deployment import fetched_release
from serving.other_data import refuse_other_data
from serving.reconcile import log_differences, reconcile
from serving.registry.models import Registry
from serving.registry.store import refuse_lost_records

if TYPE_CHECKING:
    from model.evaluation.average_precision import PairedScenes


def gate_release(
    pin: DataPin,
    config: GateConfig,
    serve: ServeConfig,
    release_folder: Path,
    report_folder: Path,
    out: Path,
    *,
    tracking_uri: str,
    home: Home,
    progress: Progress | None = None,
) -> Decision:
    """Decide whether a release may be registered under a name, and write `out`/decision.json.

    Where there is a champion, `out`/comparison.json shows the queries won and lost against it.

    Args:
        pin: The data; the champion answers the same queries.
        config: The thresholds.
        serve: Name of the registered model, and whether its champion may be of another data set.
        release_folder: Folder of the candidate.
        report_folder: Folder of the report on the candidate.
        out: Folder of the decision; made if it is missing.
        tracking_uri: Address of the registry.
        home: GLOCAL_HOME, which keeps versions of data.
        progress: Called after every batch, if the champion has to embed the test images.

    Raises:
        InvalidInput: Report, release and data do not belong together, or one of them is damaged.
        Conflict: The champion was made from a data set of another name.
        StorageFailed: The registry's database is lost or damaged.
    """
    refuse_lost_records(tracking_uri, home)
    report, candidate = Report.load(report_folder / REPORT), open_release(release_folder)
    check_belong_together(report, candidate.id, pin)
    data = fetch(pin, home.data, home.datasets)
    manifest = read_manifest(data)
    evidence = _evidence(report, report_folder, manifest)
    log_differences(reconcile(home, tracking_uri))
    registry = Registry(tracking_uri, served_name(serve, pin.path))
    refuse_other_data(registry, pin, allowed=serve.replace_other_data)
    champion = _champion(registry, candidate, pin, manifest, evidence.candidate, progress)
    decision = decide(evidence, champion, config)
    if champion:
        names = (str(champion.identity), "the candidate")
        compare_queries(manifest.searched, champion.figures, evidence.candidate, names).save(out / COMPARISON)
    decision.save(out / DECISION)
    return decision


def _evidence(report: Report, folder: Path, manifest: Manifest) -> Evidence:
    return Evidence(
        release=report.release,
        candidate=PerQuery.load(folder / CANDIDATE),
        untrained=PerQuery.load(folder / UNTRAINED),
        groups=manifest.select(manifest.rows("test")).grouping,
        latency_ms=report.latency.fastest_ms,
        size_mb=report.size_mb,
        memory_mb=report.memory_mb if report.memory_mb is not None else math.nan,
        accepted={
            name: found
            for name, found in (("verification", report.verification), ("identification", report.identification))
            if found
        },
        detection=report.detection,
    )


def _champion(
    registry: Registry, candidate: Release, pin: DataPin, manifest: Manifest, figures: PerQuery, progress: Progress | None
) -> Champion | None:
    """The champion and its figures on the same queries; None if there is no champion.

    Args:
        registry: The registered model.
        candidate: The candidate, which may be the champion already.
        pin: The data.
        manifest: The data.
        figures: Figures of the candidate.
        progress: Called after every batch.
    """
    version = registry.alias("champion")
    if version is None:
        return None
    if registry.version(version).release == candidate.id:
        return Champion(registry.name, version, pin.named, figures)
    from model.evaluation.evaluate import query_test_classes  # torch, which most gates do without

    with fetched_release(registry, version) as champion:
        answered = query_test_classes(champion, manifest.folder, pin.md5, progress)
        scenes = _scenes(candidate, champion, manifest, progress)
    return Champion(registry.name, version, champion.pin.named, answered, scenes)


def _scenes(candidate: Release, champion: Release, manifest: Manifest, progress: Progress | None) -> "PairedScenes | None":
    """What both detect in the scenes of the data that calibrated no candidate; None if the champion does not detect."""
    if champion.detector is None:
        return None
    from model.evaluation.detection import detect_scenes, paired_scenes

    mine = detect_scenes(candidate.detector, manifest, progress) if candidate.detector else []
    return paired_scenes(mine, detect_scenes(champion.detector, manifest, progress))
