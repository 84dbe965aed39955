"""Import a data set: list it, look at every image, split it by class, and make it a version. All or nothing."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.data.decoding.limits import MAX_BYTES, MAX_PIXELS, ImageLimits
from model.data.importing.findings import Finding, Findings, Rejected, summary, write_report
from model.data.importing.hashing import hash_files
from model.data.importing.options import Options, fingerprint
from model.data.importing.sources import Listing, download_s3, list_folders
from model.data.importing.tables import find_table, list_table
from model.data.splits import MODES
from model.data.versions.repository import check_name, is_complete, publish, recorded, writing
from model.errors import InvalidInput, NotFound
from model.licences import of_folder
from model.progress import Progress
from model.schemas.data_pin import DataPin


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        pin: The version it made, or found to be there already.
        unchanged: Whether it was there already.
        samples, classes: How many samples and classes each split has.
        warnings: What a person should look at; a report file lists it as well.
        report: That file.
        seconds: How long it took.
    """

    pin: DataPin
    unchanged: bool
    samples: dict[str, int]
    classes: dict[str, int]
    warnings: tuple[Finding, ...]
    report: Path
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object; of the warnings only their number by kind."""
        return {
            "pin": self.pin.to_json(),
            "unchanged": self.unchanged,
            "samples": self.samples,
            "classes": self.classes,
            "warnings": summary(list(self.warnings)),
            "report": str(self.report),
            "seconds": round(self.seconds, 3),
        }


def import_dataset(
    source: Path | str,
    name: str,
    store: Path,
    *,
    csv: Path | None = None,
    split: str = "zero-shot",
    validation_fraction: float = 0.2,
    leaks: str = "fail",
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    remote: str | None = None,
    licence: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Validate, split and version a folder, a CSV or an `s3://` prefix as the data set `name` of `store`.

    The pin states the data's licence: `licence`, or else what a LICENSE file in the folder calls itself.

    A source that has not changed since its last import, options included, is recognised by its files' hashes and
    not decoded again: the same pin comes back.

    Raises:
        Rejected: The data set has defects; it names them all, and the store is as it was.
        InvalidInput, NotFound, Unavailable: The source, an option or the store cannot be used.
    """
    begun = time.monotonic()
    check_name(name)
    options = Options(split, validation_fraction, leaks, max_bytes, max_pixels, remote, licence)
    _check_options(options)
    tell = _throttled(progress)
    with writing(store, lambda: tell(0, 0, "wait for another import")) as staging:
        findings = Findings()
        listing = _list(str(source), csv, staging / "source", findings, tell)
        options = replace(options, licence=licence or of_folder(listing.root))
        before = None if findings.defects else _unchanged(store, name, listing, options, tell)
        if before is not None:
            return _report(*before, True, store / "reports" / f"{name}.txt", begun)
        from model.data.importing.assembling import assemble  # torch, which an unchanged source does without

        record = assemble(listing, options, staging / "data", findings, tell)
        report = write_report(store / "reports", name, findings)
        if findings.defects:
            headline = f"{source} has {len(findings.defects)} defects: {summary(findings.defects)}. Nothing was imported."
            raise Rejected(headline, f"Every one is named in {report}.", findings, report)
        pin = publish(store, name, staging / "data", record, remote=remote, step=lambda step: tell(0, 0, step))
    return _report(pin, record, False, report, begun)


def _check_options(options: Options) -> None:
    if options.split not in MODES:
        raise InvalidInput(f"There is no split {options.split!r}.", f"Choose one of {', '.join(MODES)}.")
    if options.leaks not in {"fail", "drop"}:
        raise InvalidInput(f"leaks is {options.leaks!r}.", "Choose fail or drop.")


def _throttled(progress: Progress | None) -> Progress:
    """Call `progress` ten times a second at most, and whenever a step begins or ends."""
    last = ("", 0.0)

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if progress and (what != last[0] or done == total or now - last[1] > 0.1):
            last = (what, now)
            progress(done, total, what)

    return tell


def _list(source: str, csv: Path | None, root: Path, findings: Findings, tell: Progress) -> Listing:
    """List the source, whatever its kind; `root` is where an `s3://` prefix is downloaded to."""
    if source.startswith(("s3://", "s3:/")):
        root.mkdir()
        download_s3("s3://" + source.removeprefix("s3:").lstrip("/"), root, findings, tell)
    else:
        root = Path(source)
        if root.is_file() and root.suffix.lower() == ".csv":
            root, csv = root.parent, root
        if not root.is_dir():
            raise NotFound(f"There is no folder {source}.", "Give a folder with one folder of images per class, or a CSV.")
    tell(0, 0, "list the files")
    table = find_table(root, csv)
    listing = list_table(root, table, findings) if table else list_folders(root, findings)
    if not len(listing.file) and not findings.defects:
        findings.defect("empty", root.name, "there is no class folder and no manifest.csv")
    return listing


def _unchanged(
    store: Path, name: str, listing: Listing, options: Options, tell: Progress
) -> tuple[DataPin, dict[str, Any]] | None:
    """The newest version and its record, if it was made of this very source and is all there."""
    known = recorded(store, name)
    if known is None:
        return None
    hashes = hash_files(listing, ImageLimits(options.max_bytes, options.max_pixels), tell)
    if hashes is None or known[1].get("fingerprint") != fingerprint(listing, hashes, options):
        return None
    return known if is_complete(store, known[0]) else None


def _report(pin: DataPin, record: dict[str, Any], unchanged: bool, report: Path, begun: float) -> ImportReport:
    warnings = tuple(Finding(**warning) for warning in record["warnings"])
    seconds = time.monotonic() - begun
    return ImportReport(pin, unchanged, record["samples_by_split"], record["classes_by_split"], warnings, report, seconds)
