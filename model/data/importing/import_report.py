"""The report of an import, for people and as JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.data.importing import other_source
from model.data.importing.findings import Finding, shown_with_dropped, summary
from model.schemas.data_pin import DataPin


@dataclass(frozen=True)
class ImportReport:
    """The report of an import.

    Attributes:
        pin: The version that the import made, or that was there before; `pin.dropped` counts what was left out.
        unchanged: Whether the version was there before.
        samples: Number of samples of each side of the split.
        classes: Number of classes of each side of the split.
        warnings: What a person should look at; the report file lists the warnings as well.
        report: The report file; None where a version was named and nothing was imported.
        seconds: Duration of the import.
        earlier_source: Source of the version before, if it was another one; else empty.
        named: Whether a person chose the name of the data set.
    """

    pin: DataPin
    unchanged: bool
    samples: dict[str, int]
    classes: dict[str, int]
    warnings: tuple[Finding, ...]
    report: Path | None
    seconds: float
    earlier_source: str = ""
    named: bool = False

    @classmethod
    def of(
        cls,
        pin: DataPin,
        record: dict[str, Any],
        unchanged: bool,
        report: Path | None,
        seconds: float,
        earlier_source: str = "",
        *,
        named: bool = False,
    ) -> "ImportReport":
        """The report of a version and the record of its import."""
        warnings = tuple(Finding(**warning) for warning in record.get("warnings", ())) if report else ()
        samples, classes = record.get("samples_by_split", {}), record.get("classes_by_split", {})
        return cls(pin, unchanged, samples, classes, warnings, report, seconds, earlier_source, named)

    @property
    def messages(self) -> list[str]:
        """The lines that a person is shown: another source, samples left out, other warnings, whether classes are too few."""
        lines = []
        if self.earlier_source:
            lines.append(other_source.warning(self.pin.path, self.earlier_source, named=self.named))
        lines += shown_with_dropped(self.warnings, self.pin.dropped, self.report) if self.report else []
        present = {split for split, count in self.classes.items() if count}
        if present - {"scene", "distractor"} and self.classes.get("train", 0) < 2:
            lines.append("fewer than two classes to train on. Five classes leave two; or give a CSV with a split column.")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object, with the number of warnings by kind in place of the warnings."""
        return {
            "pin": self.pin.to_json(),
            "unchanged": self.unchanged,
            "samples": self.samples,
            "classes": self.classes,
            "dropped": self.pin.dropped,
            "warnings": summary(self.warnings),
            "earlier_source": self.earlier_source or None,
            "report": str(self.report) if self.report else None,
            "seconds": round(self.seconds, 3),
        }
