"""The import of a data set: its source is listed, checked and split by class, and becomes a version, or nothing changes."""

import time
from pathlib import Path
from typing import Any

from model.config import DataConfig
from model.data.importing.dataset_name import TABLE_SUFFIXES, default_name, is_there
from model.data.importing.findings import Findings, Rejected, summary, write_report
from model.data.importing.fingerprint import fingerprint
from model.data.importing.folders import list_folders
from model.data.importing.hashing import hash_files
from model.data.importing.import_report import ImportReport
from model.data.importing.listing import Listing
from model.data.importing.object_store import SCHEMES, download
from model.data.importing.other_source import SOURCE, other_source, stated_source
from model.data.importing.tables import find_table, list_table
from model.data.versions.fetch import is_complete
from model.data.versions.pin import check_name, recorded
from model.data.versions.repository import publish, writing
from model.errors import Conflict, InvalidInput, NotFound
from model.home import DataStore
from model.licences import of_folder
from model.progress import Progress
from model.schemas.data_pin import DataPin
from model.text import counted, excerpt

DEFAULTS = DataConfig()
_FORMS = "Give a folder with one folder of images per class, or a CSV."


def import_dataset(
    source: Path | str,
    name: str | None,
    store: DataStore,
    config: DataConfig = DEFAULTS,
    *,
    csv: Path | None = None,
    remote: str | None = None,
    progress: Progress | None = None,
    base: DataPin | None = None,
) -> ImportReport:
    """Validate, split and version a folder, a CSV or an `s3://` prefix as the data set `name` of `store`.

    The pin states the data's licence: the setting, or else the first paragraph of a LICENSE file in the folder.

    If neither the source nor the settings have changed since the last import, which the files' hashes tell, no image is decoded
    and the last pin is returned. Where the last version came from another source, the report names that source.

    Args:
        source: A folder, a CSV, or an `s3://` prefix.
        name: Name of the data set; None: after the source, as `default_name` says.
        store: Store that keeps the versions.
        config: Settings of the import.
        csv: Table of the folder; default: its manifest.csv, if it has one.
        remote: Address where versions are kept as well.
        progress: Called after every step.
        base: Version that the source was made from with some changes, if it was: see `revising`. It must still be the newest.

    Raises:
        Conflict: `base` is no longer the newest version.
        Rejected: The data set has defects; the error names all of them. The store is unchanged.
        InvalidInput, NotFound, Unavailable: The source, a setting or the store cannot be used; or the name is only a default,
            and the data set of that name came from another source and has no class in common with this one.
    """
    if not is_there(str(source)):
        raise NotFound(f"There is no folder {excerpt(str(source))}.", _FORMS)
    begun, named = time.monotonic(), name is not None
    name = default_name(str(source)) if name is None else name
    check_name(name)
    progress = _throttled(progress)
    with writing(store, lambda: progress(0, 0, "wait for another import")) as staging:
        findings = Findings()
        listing = _list(str(source), csv, staging / "source", config, findings, progress)
        config = config.model_copy(update={"licence": config.licence or of_folder(listing.root)})
        known = recorded(store, name)
        if base is not None and (known is None or known[0].rev != base.rev):
            raise Conflict(f"Another version of {name} was imported meanwhile.", "Repeat the change on that one.")
        if known and not findings.defects and _is_unchanged(store, known, listing, config, remote, progress):
            return ImportReport.of(*known, True, store.reports / f"{name}.txt", time.monotonic() - begun)
        stated = f"{base.named} with changes" if base else stated_source(str(source), csv)
        earlier = other_source(store, known, stated, listing.labels, named=named) if known and not base else ""
        from model.data.importing.assembling import assemble  # torch, which an unchanged source does without

        record = _with_source(assemble(listing, config, remote, staging / "data", findings, progress), stated, known)
        report = write_report(store.reports, name, findings)
        if findings.defects:
            count = f"{counted(len(findings.defects), 'defect')}: {summary(findings.defects)}"
            headline = f"{excerpt(str(source))} has {count}. Nothing was imported."
            raise Rejected(headline, f"Every one is named in {report}.", findings, report)
        pin = publish(store, name, staging / "data", record, remote=remote, step=lambda step: progress(0, 0, step))
    return ImportReport.of(pin, record, False, report, time.monotonic() - begun, earlier, named=named)


def _with_source(record: dict[str, Any], source: str, known: tuple[DataPin, dict[str, Any]] | None) -> dict[str, Any]:
    """The record with its source. The same data restored keep the record that they had, and with it their pin."""
    if known and known[1].get("fingerprint") == record["fingerprint"]:
        return record | {key: value for key, value in known[1].items() if key == SOURCE}
    return record | {SOURCE: source}


def _throttled(progress: Progress | None) -> Progress:
    """Call `progress` ten times a second at most, and whenever a step begins or ends."""
    last = ("", 0.0)

    def show(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if progress and (what != last[0] or done == total or now - last[1] > 0.1):
            last = (what, now)
            progress(done, total, what)

    return show


def _list(source: str, csv: Path | None, root: Path, config: DataConfig, findings: Findings, progress: Progress) -> Listing:
    """List a source of any kind. An `s3://` prefix is downloaded into the folder `root` first."""
    if source.startswith(SCHEMES):
        root.mkdir()
        download(source, root, findings, progress)
    else:
        root = Path(source)
        if root.is_file():
            if root.suffix.lower() not in TABLE_SUFFIXES:
                raise InvalidInput(f"{excerpt(source)} is a file, and no CSV.", _FORMS)
            root, csv = root.parent, root
        if not root.is_dir():
            raise NotFound(f"There is no folder {excerpt(source)}.", _FORMS)
    progress(0, 0, "list the files")
    table = find_table(root, csv)
    listing = list_table(root, table, findings, boxes=config.boxes) if table else list_folders(root, findings)
    if not len(listing.file) and not findings.defects:
        findings.defect("empty", root.name, "there is no class folder and no manifest.csv")
    return listing


def _is_unchanged(
    store: DataStore,
    known: tuple[DataPin, dict[str, Any]],
    listing: Listing,
    config: DataConfig,
    remote: str | None,
    progress: Progress,
) -> bool:
    """Whether the newest version, given with its record, was made of the same source and is complete."""
    hashes = hash_files(listing, config.image_limits, progress)
    return known[1].get("fingerprint") == fingerprint(listing, hashes, config, remote) and is_complete(store, known[0])
