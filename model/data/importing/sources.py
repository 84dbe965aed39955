"""What a source holds: a listing, and how a folder with one folder for each class becomes one. Listing opens no image.

A listing keeps its texts in one buffer and its numbers in arrays: a hundred thousand files are a few megabytes.
"""

import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.importing.findings import Findings
from model.data.importing.names import Spellings, is_passed_over, name_is_valid
from model.data.splits import UNSET

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class Texts:
    """A list of strings that costs its bytes and eight more each."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def append(self, text: str) -> None:
        """Add `text` at the end."""
        self._bytes += os.fsencode(text)
        self._ends.append(len(self._bytes))

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return os.fsdecode(bytes(self._bytes[self._ends[index] : self._ends[index + 1]]))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def tobytes(self) -> bytes:
        """Everything, so that two lists can be compared by hash."""
        return bytes(self._bytes) + self._ends.tobytes()


@dataclass
class Listing:
    """What a source holds, before any image was opened.

    Attributes:
        root: Where the file names start.
        files: Each distinct file, relative to `root`, with `/`.
        labels: Each distinct class name.
        file, label, given: One entry a sample: indices into `files` and `labels`; the split as in `splits`.
        boxes: Four numbers a sample; NaN where the sample is the whole image.
        groups: One entry a sample; empty where it has no group.
    """

    root: Path
    files: Texts = field(default_factory=Texts)
    labels: list[str] = field(default_factory=list)
    file: "array[int]" = field(default_factory=lambda: array("q"))
    label: "array[int]" = field(default_factory=lambda: array("q"))
    given: "array[int]" = field(default_factory=lambda: array("b"))
    boxes: "array[float]" = field(default_factory=lambda: array("f"))
    groups: Texts = field(default_factory=Texts)

    def add(self, file: int, label: int, given: int = UNSET, box: tuple[float, ...] = (np.nan,) * 4, group: str = "") -> None:
        """Add one sample."""
        self.file.append(file)
        self.label.append(label)
        self.given.append(given)
        self.boxes.extend(box)
        self.groups.append(group)

    @property
    def box_array(self) -> NDArray[np.float32]:
        """(N, 4) float32 view of `boxes`."""
        return np.frombuffer(self.boxes, dtype=np.float32).reshape(-1, 4)


def list_folders(root: Path, findings: Findings) -> Listing:
    """List `<root>/<class>/<image>`. What belongs to a file manager (`.DS_Store`, `Thumbs.db`, `@eaDir`) is passed over."""
    listing, spellings = Listing(root), Spellings()
    for entry in _entries(root, "", findings):
        if not is_folder(entry):
            if entry.name.lower().endswith(SUFFIXES):
                findings.defect("outside a class folder", entry.name, "move it into the folder of its class")
            elif entry.is_symlink() and not Path(entry.path).exists():
                findings.defect("broken link", entry.name, "it leads nowhere")
            continue
        if not name_is_valid(entry.name, entry.name, findings) or not _stays_inside(root, entry, entry.name, findings):
            continue
        name_class(entry.name, entry.name, spellings, findings)
        listing.labels.append(entry.name)
        before = len(listing.files)
        seen = _list_class(listing, entry, findings)
        if len(listing.files) == before and not seen:
            findings.defect("empty class", entry.name, "the folder holds no image")
    return listing


def name_class(label: str, where: str, spellings: Spellings, findings: Findings) -> None:
    """Name a class whose name is the same text as another's and differs in its bytes only."""
    if (other := spellings.other(label)) is not None:
        text = f"it reads like the class {other!a} and is spelled {label!a} (Unicode NFC and NFD); give both one name"
        findings.defect("same class name", where, text)


def _list_class(listing: Listing, folder: os.DirEntry[str], findings: Findings) -> bool:
    """Add one class folder's images; True where the folder held anything at all."""
    seen, spellings = False, Spellings()
    for entry in _entries(Path(folder.path), f"{folder.name}/", findings):
        seen = True
        name = f"{folder.name}/{entry.name}"
        if name_is_valid(entry.name, name, findings) and is_usable(listing.root, Path(entry.path), name, findings):
            name_file(entry.name, name, spellings, findings)
            listing.add(len(listing.files), len(listing.labels) - 1)
            listing.files.append(name)
    return seen


def name_file(part: str, name: str, spellings: Spellings, findings: Findings) -> None:
    """Warn of a file whose name is the same text as another's: on some systems the two cannot lie in one folder."""
    if (other := spellings.other(part)) is not None:
        findings.warn("same file name", name, f"another file is spelled {other!a}; some systems keep only one of the two")


def _entries(folder: Path, prefix: str, findings: Findings) -> Iterator[os.DirEntry[str]]:
    """A folder's entries that are not hidden, by name."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        findings.defect("unreadable folder", prefix or folder.name, error.strerror or "it cannot be opened")
        return iter(())
    return (entry for entry in found if not is_passed_over(entry.name, prefix + entry.name, findings))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; a link that leads back to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _stays_inside(root: Path, entry: os.DirEntry[str], name: str, findings: Findings) -> bool:
    return not entry.is_symlink() or inside(root, Path(entry.path), name, findings)


def inside(root: Path, path: Path, name: str, findings: Findings) -> bool:
    """Whether `path`, its links followed, lies below `root`; otherwise names it."""
    try:
        if path.resolve().is_relative_to(root.resolve()):
            return True
    except (OSError, RuntimeError):  # what resolve raises for a link that leads back to itself
        findings.defect("broken link", name, "it leads back to itself")
        return False
    findings.defect("link out of the folder", name, "it leads out of the folder that is imported")
    return False


def is_usable(root: Path, path: Path, name: str, findings: Findings) -> bool:
    """Whether `path` is a regular file, reached without leaving `root`; otherwise names it."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not inside(root, path, name, findings):
                return False
            mode = path.stat().st_mode
    except OSError as error:
        findings.defect("broken link" if path.is_symlink() else "missing", name, error.strerror or "it cannot be opened")
        return False
    if stat.S_ISDIR(mode):
        findings.defect("nested folder", name, "it is a folder where an image belongs; move its images up, or out")
        return False
    if not stat.S_ISREG(mode):
        findings.defect("not a file", name, "it is a pipe, a socket or a device")
        return False
    return True
