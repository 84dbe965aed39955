"""What a registered version has on record: its run's settings, its report with every query's figures, its decision.

Report and decision are those that are kept with the version; versions of earlier revisions have them with their run alone.

A version whose gallery alone was changed has the network of its base version, so its report is that of the version that was
trained.
"""

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from model.errors import NotFound
from model.evaluation.metrics import PerQuery
from model.evaluation.report import CANDIDATE, REPORT
from model.schemas.decision import DECISION, Decision
from model.schemas.gallery import CHANGE, GalleryChange
from model.schemas.model_version import ModelVersion
from model.schemas.report import Report
from model.schemas.run_record import RunRecord
from model.scratch import scratch_folder
from serving.registry.models import Registry
from serving.registry.runs import Runs

D = TypeVar("D", Report, Decision, GalleryChange)


def trained_version(registry: Registry, version: ModelVersion) -> ModelVersion:
    """The version that was trained, of which a version has the network: itself, or the first of its base versions.

    Raises:
        NotFound: A base version was deleted.
    """
    seen = {version.version}
    while version.base_version and version.base_version not in seen:
        version = registry.version(version.base_version)
        seen.add(version.version)
    return version


def run_of(runs: Runs, version: ModelVersion, *, steps: bool = False) -> RunRecord | None:
    """The pipeline run that made a version; None if it was registered without one, or that run is not on record.

    Args:
        runs: The record of runs.
        version: The version.
        steps: Whether the steps of the run are read too.
    """
    if not version.run_id:
        return None
    try:
        return runs.run(version.run_id, steps=steps)
    except NotFound:
        return None


def report_of(registry: Registry, runs: Runs, version: ModelVersion) -> Report:
    """The report on a version that was trained.

    Raises:
        NotFound: None is kept on this release.
        InvalidInput: It is damaged.
    """
    return _on_release(_kept(registry, runs, version, f"report/{REPORT}", Report), version)


def kept_report(runs: Runs, run: RunRecord) -> Report:
    """The report that a run kept.

    Raises:
        NotFound: It kept none.
        InvalidInput: It is damaged.
    """
    with scratch_folder("evidence") as scratch:
        return Report.load(runs.kept_file(run.id, f"report/{REPORT}", scratch, artifacts=run.artifacts))


def kept_queries(runs: Runs, run: RunRecord) -> PerQuery:
    """Figures and neighbours of every query of the report that a run kept; raises as `kept_report`."""
    with scratch_folder("queries") as scratch:
        return PerQuery.load(runs.kept_file(run.id, f"report/{CANDIDATE}", scratch, artifacts=run.artifacts))


def decision_of(registry: Registry, runs: Runs, version: ModelVersion) -> Decision:
    """The gate's decision on a version; raises as `report_of`."""
    return _on_release(_kept(registry, runs, version, f"decision/{DECISION}", Decision), version)


def change_of(registry: Registry, runs: Runs, version: ModelVersion) -> GalleryChange:
    """What the enrolment or removal that made a version did; raises as `report_of`."""
    return _on_release(_kept(registry, runs, version, f"gallery/{CHANGE}", GalleryChange), version)


def queries_of(registry: Registry, runs: Runs, version: ModelVersion) -> PerQuery:
    """Figures and neighbours of every query of the report on a version; raises as `report_of`."""
    with scratch_folder("queries") as scratch:
        return PerQuery.load(_file(registry, runs, version, f"report/{CANDIDATE}", scratch))


def _kept(registry: Registry, runs: Runs, version: ModelVersion, name: str, kind: type[D]) -> D:
    """A document that was kept with a version, or by its run."""
    with scratch_folder("evidence") as scratch:
        return kind.load(_file(registry, runs, version, name, scratch))


def _file(registry: Registry, runs: Runs, version: ModelVersion, name: str, out: Path) -> Path:
    """A copy of a file that was kept with a version, which is what people approve; else of the one that its run kept.

    Raises:
        NotFound: Neither was.
    """
    if version.evidence_sha256:
        with suppress(NotFound):
            return registry.files.document(version.version, name, out)
    return runs.kept_file(version.run_id, name, out)


def _on_release(found: D, version: ModelVersion) -> D:
    """The document, if it is on the version's release: a run may have made another one since."""
    if found.release != version.release:
        raise NotFound(f"What run {version.run_id} kept is on release {found.release}, not {version.release}.")
    return found
