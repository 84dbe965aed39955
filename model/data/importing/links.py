"""Links in a source: a path is followed only where it ends at a regular file within the imported folder."""

import os
import stat
from pathlib import Path

from model.data.importing.findings import Findings


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; a link that leads back to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_inside(root: Path, path: Path, name: str, findings: Findings) -> bool:
    """Whether `path`, its links followed, lies below `root`; adds a defect if not."""
    try:
        if path.resolve().is_relative_to(root.resolve()):
            return True
    except (OSError, RuntimeError):  # `resolve` raises these for a link that leads back to itself
        findings.defect("broken link", name, "it leads back to itself")
        return False
    findings.defect("link out of the folder", name, "it leads out of the folder that is imported")
    return False


def is_usable(root: Path, path: Path, name: str, findings: Findings) -> bool:
    """Whether `path` is a regular file, reached without leaving `root`; adds a defect if not."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not is_inside(root, path, name, findings):
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
