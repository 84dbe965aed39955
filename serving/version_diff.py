"""Two registered versions of a model, side by side: settings, data, figures, and queries won and lost.

Nothing is computed anew: what is compared is what the runs of the versions left on record (`serving.evidence`).
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from model.data.manifest import MANIFEST, read_manifest
from model.data.versions.fetch import fetch, file_hashes
from model.errors import Conflict
from model.evaluation.metrics import PerQuery
from model.evaluation.won_lost import compare_queries, same_queries, save_page, won_and_lost
from model.home import Home
from model.schemas.comparison import Comparison
from model.schemas.data_pin import DataPin
from model.schemas.model_version import ModelVersion
from model.schemas.release_manifest import ReleaseManifest
from model.schemas.version_diff import DataChange, VersionDiff
from serving.evidence import queries_of, report_of, trained_version
from serving.lineage import readable
from serving.planning import changed_figures, changed_settings, changed_text
from serving.registry.models import Registry
from serving.registry.runs import Runs


class Answered(NamedTuple):
    """The test queries of one version of a data set, and what two versions of a model found for them."""

    pin: DataPin
    before: PerQuery
    after: PerQuery


def diff_versions(home: Home, tracking_uri: str, name: str, before: str, after: str) -> VersionDiff:
    """What differs between two versions; see `compare_versions`.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        name: Name of the registered model.
        before: The first version.
        after: The second version.

    Raises:
        NotFound: There is no such version.
    """
    registry = Registry(tracking_uri, name)
    aliases = registry.aliases()
    one, other = (registry.version(each, aliases) for each in (before, after))
    return compare_versions(home, registry, Runs(tracking_uri), one, other)


def compare_versions(home: Home, registry: Registry, runs: Runs, one: ModelVersion, other: ModelVersion) -> VersionDiff:
    """What differs between two versions. What cannot be compared is left out and named in the notes.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        registry: The registered model.
        runs: The record of runs.
        one: The first version.
        other: The second version.
    """
    notes = list[str]()
    manifests = [readable(partial(registry.files.manifest, each.version), notes) for each in (one, other)]
    answered = readable(lambda: answered_queries(registry, runs, one, other), notes)
    return VersionDiff(
        before=one,
        after=other,
        same_space=one.embedding_space_id == other.embedding_space_id,
        settings=changed_settings(registry, runs, one, other),
        data=_changed_data(home, *(manifest.data if manifest else None for manifest in manifests), notes=notes),
        gallery=changed_text(*map(_gallery, manifests)) if all(manifests) else None,
        figures=changed_figures(one, other),
        queries=won_and_lost(answered.before, answered.after) if answered else None,
        notes=tuple(dict.fromkeys(notes)),
    )


def answered_queries(registry: Registry, runs: Runs, before: ModelVersion, after: ModelVersion) -> Answered:
    """What two versions found for the same queries, from the reports of their trainings.

    Raises:
        NotFound: The run of one of them kept no figures of queries.
        InvalidInput: They are damaged.
        Conflict: The reports are not on the same queries.
    """
    one, other = (trained_version(registry, version) for version in (before, after))
    pins = [report_of(registry, runs, version).data for version in (one, other)]
    answered = Answered(pins[1], queries_of(registry, runs, one), queries_of(registry, runs, other))
    if pins[0].md5 != pins[1].md5 or not same_queries(answered.before, answered.after):
        raise Conflict(
            f"The reports of {one.label} and {other.label} are not on the same queries: {pins[0].named} and {pins[1].named}.",
            "Queries won and lost are counted between versions that were evaluated on one version of the data.",
        )
    return answered


def changed_queries(home: Home, tracking_uri: str, before: ModelVersion, after: ModelVersion) -> Comparison:
    """The queries of the largest gains and losses, as images with their neighbours under both versions.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        before: The first version.
        after: The second version.

    Raises:
        GlocalError: As `answered_queries`; or the data are gone.
    """
    answered = answered_queries(Registry(tracking_uri, before.model), Runs(tracking_uri), before, after)
    manifest = read_manifest(fetch(answered.pin, home.data, home.datasets)).searched
    return compare_queries(manifest, answered.before, answered.after, (before.label, after.label))


def save_queries(home: Home, tracking_uri: str, before: ModelVersion, after: ModelVersion, file: Path) -> None:
    """Write `changed_queries` as a self-contained page.

    Args:
        home: GLOCAL_HOME, which keeps versions of data.
        tracking_uri: Address of the registry.
        before: The first version.
        after: The second version.
        file: The HTML file.

    Raises:
        GlocalError: As `changed_queries`.
    """
    save_page(file, changed_queries(home, tracking_uri, before, after))


def _changed_data(home: Home, before: DataPin | None, after: DataPin | None, *, notes: list[str]) -> DataChange:
    added = removed = None
    if before and after and before.md5 == after.md5:
        added = removed = 0
    elif before and after:
        one, other = (readable(partial(_contents, home, pin), notes) for pin in (before, after))
        if one is not None and other is not None:
            added, removed = len(other - one), len(one - other)
    return DataChange(before=before, after=after, added=added, removed=removed)


def _contents(home: Home, pin: DataPin) -> frozenset[str]:
    """The MD5s of a pin's images."""
    return frozenset(md5 for path, md5 in file_hashes(pin, home.data, home.datasets).items() if path != MANIFEST)


def _gallery(manifest: ReleaseManifest | None) -> str:
    return " ".join(pin.named for pin in manifest.gallery_pins) if manifest else ""
