"""Findings of an import: defects, for which the data set is refused, and warnings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import InvalidInput
from model.files import write_json, write_text
from model.text import counted, excerpt

_SHOWN = 20
"""Number of findings that a person is shown; the report file names all of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        kind: Kind of the finding in a word or two, such as `unreadable`, `leak` or `near duplicate`.
        name: File, class or row that it concerns.
        text: One line for a person.
    """

    kind: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.text}"

    def to_json(self) -> dict[str, str]:
        """The finding as a JSON object."""
        return {"kind": self.kind, "name": self.name, "text": self.text}


@dataclass
class Findings:
    """All findings, in the order in which they were added.

    Attributes:
        defects: Reasons to refuse the data set.
        warnings: What a person should look at, and each sample that was left out.
        dropped: Number of samples that were left out, by the kind of their warnings.
    """

    defects: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def defect(self, kind: str, name: str, text: str) -> None:
        """Add a reason to refuse the data set."""
        self.defects.append(Finding(kind, excerpt(name), excerpt(text)))

    def warn(self, kind: str, name: str, text: str) -> None:
        """Add something that a person should look at."""
        self.warnings.append(Finding(kind, excerpt(name), excerpt(text)))

    def drop(self, kind: str, name: str, text: str, samples: int = 1) -> None:
        """Add a warning that names what is left out, and count its samples."""
        self.warn(kind, name, text)
        self.dropped[kind] += samples

    def add(self, other: "Findings") -> None:
        """Add everything that `other` holds."""
        self.defects += other.defects
        self.warnings += other.warnings
        self.dropped += other.dropped

    def to_json(self) -> dict[str, Any]:
        """Every finding, as JSON."""
        return {
            "dropped": dict(self.dropped),
            "defects": [finding.to_json() for finding in self.defects],
            "warnings": [finding.to_json() for finding in self.warnings],
        }


class Rejected(InvalidInput):
    """A data set that was refused.

    Attributes:
        findings: All findings.
        report: The text file that lists them.
    """

    def __init__(self, headline: str, hint: str, findings: Findings, report: Path) -> None:
        super().__init__(headline, hint)
        self.findings = findings
        self.report = report


def write_report(folder: Path, name: str, findings: Findings) -> Path:
    """Write every finding to `folder/name.json` and `folder/name.txt`, and return the latter."""
    write_json(folder / f"{name}.json", findings.to_json())
    lines = [f"{name}: {summary(findings.defects) or 'no defects'}; {summary(findings.warnings) or 'no warnings'}"]
    lines += [f"left out {counted(count, 'sample')}: {kind}" for kind, count in findings.dropped.items()]
    lines += [f"defect   {finding}" for finding in findings.defects]
    lines += [f"warning  {finding}" for finding in findings.warnings]
    write_text(folder / f"{name}.txt", "\n".join(lines) + "\n")
    return folder / f"{name}.txt"


def summary(findings: Sequence[Finding]) -> str:
    """Number of findings of each kind, such as `2 unreadable, 1 leak`."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(finding.kind for finding in findings).items())


def shown(findings: Sequence[Finding], report: Path) -> list[str]:
    """The lines that a person is shown: the first 20 findings, and the number of the others, which the report file names."""
    lines = [str(finding) for finding in findings[:_SHOWN]]
    more = len(findings) - _SHOWN
    return [*lines, f"and {more} more in {report}"] if more > 0 else lines


def shown_with_dropped(warnings: Sequence[Finding], dropped: Mapping[str, int], report: Path) -> list[str]:
    """The warnings that a person is shown: a line for each reason to leave samples out, then the other warnings."""
    lines = [f"left out {counted(count, 'sample')}: {kind}; named in {report}" for kind, count in dropped.items()]
    return lines + shown([warning for warning in warnings if warning.kind not in dropped], report)
