"""The copy of the ledger in a file to which lines are only added, each with the hash of the line before it.

MLflow lets anyone who may write to it change an entry; a changed, removed or inserted line of this file does not fit the lines
around it, and an entry in MLflow that was changed does not fit its line. A line is written before MLflow is told that there is
one, and how the attempt ended, so that a kill between the two leaves a line that is ahead of MLflow, which the next
reconciliation closes.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from model.errors import InvalidInput
from model.files import sha256_json
from model.locks import hold
from model.schemas.promotion import Promotion
from model.schemas.schema import Schema

_FIRST = "0" * 64
_WAIT_S = 60.0
_COMPARED = ("model", "by", "why", "before", "version", "release", "place", "outcome", "evidence")


class LedgerLine(Schema):
    """One line: an attempt as it was when it was begun, or when it ended."""

    number: int = Field(ge=1, description="Number of the line")
    previous: str = Field(description="Hash of the line before; zeros in the first line")
    entry: Promotion = Field(description="The attempt")
    hash: str = Field(description="Hash of the other fields")

    def expected_hash(self) -> str:
        """The hash that the other fields have."""
        content = self.model_dump(mode="json", exclude={"hash"})
        if not content["entry"]["evidence"]:
            del content["entry"]["evidence"]  # lines of earlier revisions have none
        return sha256_json(content)


class LedgerFile:
    """The file of a home.

    Args:
        file: The file; it is made with the first line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def append(self, entry: Promotion) -> None:
        """Add a line for an attempt.

        Raises:
            InvalidInput: The last line cannot be read, so that no line can follow it.
        """
        with hold(self._file.with_name(self._file.name + ".lock"), wait_s=_WAIT_S, busy="The ledger is being written to."):
            self._remove_torn_line()
            lines = self._lines()
            last = self._read(len(lines), lines[-1]) if lines else None
            if isinstance(last, str):
                raise InvalidInput(last, f"Restore {self._file} from a copy. glocal history --verify tells more.")
            line = LedgerLine(number=len(lines) + 1, previous=last.hash if last else _FIRST, entry=entry, hash="")
            self._write(line.model_copy(update={"hash": line.expected_hash()}))

    def faults(self, recorded: Iterable[Promotion]) -> list[str]:
        """What does not fit, in sentences: lines among themselves, and MLflow's entries with their last lines.

        The file is read before and after MLflow, so that an attempt that is begun or ends meanwhile is no fault.

        Args:
            recorded: MLflow's entries of this home, of all models; read from MLflow when they are iterated over.
        """
        earlier = self.entries()
        entries = list(recorded)
        found, last = list(self._broken()), self.entries()
        for entry in entries:
            line = last.get(entry.id)
            if line is None and entry.kept:
                found.append(f"The promotion of {entry.label} ({entry.id}) is in MLflow and not in {self._file.name}.")
            elif line is not None and entry.outcome != "begun":
                changed = [name for name in _COMPARED if getattr(line, name) != getattr(entry, name)]
                if changed:
                    differ = ", ".join(changed)
                    found.append(f"The promotion of {entry.label} ({entry.id}) was changed in MLflow: {differ}.")
        missing = earlier.keys() - {entry.id for entry in entries}
        found += [f"The promotion of {earlier[gone].label} ({gone}) was removed from MLflow." for gone in sorted(missing)]
        return found

    def entries(self) -> dict[str, Promotion]:
        """The last line of each attempt that can be read, by id of the attempt."""
        read = (self._read(number, text) for number, text in enumerate(self._lines(), 1))
        return {line.entry.id: line.entry for line in read if isinstance(line, LedgerLine)}

    def _broken(self) -> Iterator[str]:
        previous = _FIRST
        for number, text in enumerate(self._lines(), 1):
            line = self._read(number, text)
            if isinstance(line, str):
                yield line
                return
            if line.expected_hash() != line.hash:
                yield f"Line {number} of {self._file.name} was changed: {line.entry.label}."
            if line.previous != previous or line.number != number:
                yield f"Line {number} of {self._file.name} does not follow the line before it."
            previous = line.hash

    def _read(self, number: int, text: str) -> LedgerLine | str:
        """A line, or the sentence that says that it cannot be read."""
        try:
            return LedgerLine.model_validate_json(text)
        except ValidationError:
            return f"Line {number} of {self._file.name} cannot be read."

    def _lines(self) -> list[str]:
        content = self._file.read_bytes().decode(errors="replace") if self._file.is_file() else ""
        return content.removesuffix("\n").split("\n") if content else []  # no other character ends a line

    def _write(self, line: LedgerLine) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab") as stream:
            stream.write(line.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _remove_torn_line(self) -> None:
        """Cut off a line whose writer was killed in the middle of it: it has no end."""
        content = self._file.read_bytes() if self._file.is_file() else b""
        if content and not content.endswith(b"\n"):
            with self._file.open("r+b") as stream:
                stream.truncate(content.rfind(b"\n") + 1)
