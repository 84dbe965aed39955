"""What is wrong with a data set, by name: defects, which refuse it, and warnings, which do not."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import InvalidInput
from model.files import write_json, write_text

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: What it is, in a word or two: `unreadable`, `leak`, `near duplicate`.
        name: The file, class or row it concerns.
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
    """Everything that was found, in the order it was found."""

    defects: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def defect(self, kind: str, name: str, text: str) -> None:
        """Add a reason to refuse the data set."""
        self.defects.append(Finding(kind, printable(name), text))

    def warn(self, kind: str, name: str, text: str) -> None:
        """Add something that a person should look at."""
        self.warnings.append(Finding(kind, printable(name), text))

    def to_json(self) -> dict[str, Any]:
        """Every finding, as JSON."""
        return {
            "defects": [finding.to_json() for finding in self.defects],
            "warnings": [finding.to_json() for finding in self.warnings],
        }


class Rejected(InvalidInput):
    """A data set that was refused. `findings` holds every reason, `report` is the text file that lists them all."""

    def __init__(self, headline: str, hint: str, findings: Findings, report: Path) -> None:
        super().__init__(headline, hint)
        self.findings = findings
        self.report = report


def printable(name: str) -> str:
    """`name` as it may be shown: bytes that are no UTF-8 and control characters are escaped, the rest is left alone."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(f"\\x{ord(each):02x}" if unicodedata.category(each) == "Cc" else each for each in text)


def write_report(folder: Path, name: str, findings: Findings) -> Path:
    """Write every finding to `folder/name.json` and `folder/name.txt`, and return the latter."""
    write_json(folder / f"{name}.json", findings.to_json())
    lines = [f"{name}: {summary(findings.defects) or 'no defects'}; {summary(findings.warnings) or 'no warnings'}"]
    lines += [f"defect   {finding}" for finding in findings.defects]
    lines += [f"warning  {finding}" for finding in findings.warnings]
    write_text(folder / f"{name}.txt", "\n".join(lines) + "\n")
    return folder / f"{name}.txt"


def summary(findings: list[Finding]) -> str:
    """How many of each kind: `2 unreadable, 1 leak`."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(finding.kind for finding in findings).items())


def shown(findings: Sequence[Finding], report: Path) -> list[str]:
    """The findings that a person is shown, a line each: the first 20, and how many more the report file names."""
    lines = [str(finding) for finding in findings[:_SHOWN]]
    more = len(findings) - _SHOWN
    return [*lines, f"and {more} more in {report}"] if more > 0 else lines
