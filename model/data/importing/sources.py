"""Where images come from: a folder per class, a CSV, or an `s3://` prefix. Listing opens no image.

A listing keeps its texts in one buffer and its numbers in arrays: a hundred thousand files are a few megabytes.
"""

import os
import stat
import unicodedata
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.importing.findings import Findings
from model.data.splits import UNSET
from model.errors import InvalidInput, NotFound, Unavailable
from model.progress import Progress

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
LONGEST_NAME = 255


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
    """List `<root>/<class>/<image>`. What is hidden (`.DS_Store`, `Thumbs.db`) is passed over."""
    listing = Listing(root)
    for entry in _entries(root):
        if not entry.is_dir():
            if entry.name.lower().endswith(SUFFIXES):
                findings.defect("outside a class folder", entry.name, "move it into the folder of its class")
            elif entry.is_symlink() and not Path(entry.path).exists():
                findings.defect("broken link", entry.name, "it leads nowhere")
            continue
        if not name_is_valid(entry.name, entry.name, findings) or not _stays_inside(root, entry, entry.name, findings):
            continue
        listing.labels.append(entry.name)
        before = len(listing.files)
        seen = _list_class(listing, entry, findings)
        if len(listing.files) == before and not seen:
            findings.defect("empty class", entry.name, "the folder holds no image")
    return listing


def _list_class(listing: Listing, folder: os.DirEntry[str], findings: Findings) -> bool:
    """Add one class folder's images; True where the folder held anything at all."""
    seen = False
    for entry in _entries(Path(folder.path)):
        seen = True
        name = f"{folder.name}/{entry.name}"
        if name_is_valid(entry.name, name, findings) and is_usable(listing.root, Path(entry.path), name, findings):
            listing.add(len(listing.files), len(listing.labels) - 1)
            listing.files.append(name)
    return seen


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """A folder's entries that are not hidden, by name."""
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not is_hidden(entry.name)]
    return iter(sorted(kept, key=lambda entry: os.fsencode(entry.name)))


def is_hidden(name: str) -> bool:
    """Whether a file is the file manager's and not the user's."""
    return name.startswith(".") or name.lower() in {"thumbs.db", "desktop.ini", "__macosx"}


def name_is_valid(part: str, name: str, findings: Findings) -> bool:
    """Whether one part of a path can be stored; otherwise names it. Any Unicode is fine, control characters are not."""
    try:
        encoded = part.encode("utf-8")
    except UnicodeEncodeError:
        findings.defect("invalid name", name, "it is not UTF-8")
        return False
    if any(unicodedata.category(character) == "Cc" for character in part):
        findings.defect("invalid name", name, "it holds control characters")
        return False
    if len(encoded) > LONGEST_NAME:
        findings.defect("invalid name", name, f"it has {len(encoded)} bytes, more than {LONGEST_NAME}")
        return False
    return True


def _stays_inside(root: Path, entry: os.DirEntry[str], name: str, findings: Findings) -> bool:
    return not entry.is_symlink() or inside(root, Path(entry.path), name, findings)


def inside(root: Path, path: Path, name: str, findings: Findings) -> bool:
    """Whether `path`, its links followed, lies below `root`; otherwise names it."""
    if path.resolve().is_relative_to(root.resolve()):
        return True
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
        findings.defect("nested folder", name, "a class folder holds images only")
        return False
    if not stat.S_ISREG(mode):
        findings.defect("not a file", name, "it is a pipe, a socket or a device")
        return False
    return True


def download_s3(url: str, folder: Path, findings: Findings, progress: Progress) -> None:
    """Download every object below an `s3://bucket/prefix` into `folder`. Credentials and endpoint come from the environment.

    Raises:
        NotFound: There is no such bucket, or nothing below the prefix.
        Unavailable: The store does not answer.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    client = boto3.client("s3")
    done = 0
    try:
        with ThreadPoolExecutor(8) as pool:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                wanted = list(_wanted(page.get("Contents", []), prefix, folder, findings))
                list(pool.map(lambda item: client.download_file(bucket, item[0], str(item[1])), wanted))
                done += len(wanted)
                progress(done, 0, "download")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchBucket", "NoSuchKey"}:
            raise NotFound(f"There is no {url}.", "Check the bucket's name.") from error
        raise InvalidInput(f"{url} cannot be read: {error}.", "Check the credentials in the environment.") from error
    except BotoCoreError as error:
        raise Unavailable(f"{url} cannot be read: {error}.", "Check the credentials and AWS_ENDPOINT_URL.") from error
    if not done and not findings.defects:
        raise NotFound(f"{url} holds no objects.", "Check the prefix.")


def _wanted(objects: list[dict[str, Any]], prefix: str, folder: Path, findings: Findings) -> Iterator[tuple[str, Path]]:
    """Each object's key and where it goes; what may not be stored is named."""
    for item in objects:
        name = item["Key"].removeprefix(prefix)
        parts = name.split("/")
        if name.endswith("/") or not name or is_hidden(parts[-1]):
            continue
        if any(part in {"", ".", ".."} for part in parts):
            findings.defect("invalid name", name, "it leads out of the prefix")
        elif all(name_is_valid(part, name, findings) for part in parts):
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            yield item["Key"], target
