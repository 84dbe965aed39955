"""Where a registered version comes from, and what became of it: read from its release, its run and the ledger.

`serving.data_uses` asks the other way round: which versions some data went into.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from model.config import RunConfig, setting_texts
from model.errors import GlocalError
from model.home import Home
from model.schemas.lineage import Lineage
from model.schemas.model_version import ModelVersion
from model.schemas.promotion import Promotion
from model.schemas.promotion_plan import TextChange
from model.schemas.run_record import RunRecord
from serving import server
from serving.evidence import change_of, decision_of, report_of, run_of, trained_version
from serving.history import read_history
from serving.registry.models import Registry
from serving.registry.runs import Runs

T = TypeVar("T")


def lineage_of(home: Home, tracking_uri: str, name: str, version: str) -> Lineage:
    """All that is on record of how a version came to be, and of what became of it; see `trace`.

    Args:
        home: GLOCAL_HOME, whose endpoint may serve it.
        tracking_uri: Address of the registry.
        name: Name of the registered model.
        version: The version.

    Raises:
        NotFound: There is no such version.
    """
    registry, runs = Registry(tracking_uri, name), Runs(tracking_uri)
    found = registry.version(version)
    return trace(
        registry,
        runs,
        found,
        run=run_of(runs, found, steps=True),
        history=read_history(tracking_uri, name=name, version=found.version),
        serves=serving_versions(home).get(name) == found.version,
    )


def trace(
    registry: Registry, runs: Runs, found: ModelVersion, *, run: RunRecord | None, history: Iterable[Promotion], serves: bool
) -> Lineage:
    """The lineage of a version. What was not kept, or cannot be read, is left out and named in the notes.

    Args:
        registry: The registered model.
        runs: The record of runs.
        found: The version.
        run: The run that made it; None if that is not on record.
        history: The ledger's entries on it, oldest first.
        serves: Whether the endpoint answers by it.
    """
    notes = list[str]()
    manifest = readable(lambda: registry.files.manifest(found.version), notes)
    pipeline = run if run is not None and run.kind else None
    if pipeline is None:
        notes.append(f"No run is on record that made {found.label}.")
    trained = readable(lambda: trained_version(registry, found), notes)
    report = readable(lambda: report_of(registry, runs, trained), notes) if trained and trained.run_id and pipeline else None
    return Lineage(
        version=found,
        serves=serves,
        data=manifest.data if manifest else None,
        gallery=(manifest.gallery or ()) if manifest else (),
        run=pipeline,
        change=readable(lambda: change_of(registry, runs, found), notes) if pipeline and found.base_version else None,
        settings=changed_from_default(pipeline) if pipeline else {},
        evaluated=trained.version if trained and report else "",
        figures=report.retrieval.figures if report else {},
        decision=readable(lambda: decision_of(registry, runs, found), notes) if pipeline else None,
        promotions=tuple(history),
        notes=tuple(notes),
    )


def serving_versions(home: Home) -> dict[str, str]:
    """The version of each model that answers queries at the endpoint of a home now."""
    models = server.status(home).models
    return {name: model.default for name, model in models.items() if model.ready and model.default is not None}


def changed_from_default(run: RunRecord) -> dict[str, TextChange]:
    """The settings of a run that are not the default of this code; of one that this code does not have, the default is empty."""
    defaults = setting_texts(RunConfig())
    sections = {name.partition(".")[0] for name in defaults}
    given: Mapping[str, str] = {name: text for name, text in run.params.items() if name.partition(".")[0] in sections}
    return {
        name: TextChange(before=defaults.get(name, ""), after=text)
        for name, text in sorted(given.items())
        if text != defaults.get(name, "") and "." in name
    }


def readable(read: Callable[[], T], notes: list[str]) -> T | None:
    """What is read; None, and a note, if it was not kept, is damaged, or does not fit."""
    try:
        return read()
    except GlocalError as error:
        notes.append(error.headline)
        return None
