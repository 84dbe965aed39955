"""A folder as a source: one folder of images for each class. Listing opens no image."""

import os
from collections.abc import Iterator
from pathlib import Path

from model.data.decoding.suffixes import SUFFIXES
from model.data.importing.findings import Findings
from model.data.importing.links import is_folder, is_inside, is_usable
from model.data.importing.listing import Listing
from model.data.importing.names import Spellings, is_passed_over, name_is_valid, refuse_same_class_name, warn_of_same_file_name


def list_folders(root: Path, findings: Findings) -> Listing:
    """List `<root>/<class>/<image>`. What belongs to a file manager (`.DS_Store`, `Thumbs.db`, `@eaDir`) is passed over."""
    listing, spellings = Listing(root), Spellings()
    for entry in _entries(root, "", findings):
        if not is_folder(entry):
            _check_beside_classes(entry, findings)
            continue
        if not name_is_valid(entry.name, entry.name, findings) or not _stays_inside(root, entry, findings):
            continue
        refuse_same_class_name(entry.name, entry.name, spellings, findings)
        listing.labels.append(entry.name)
        before = len(listing.files)
        has_entries = _list_class(listing, entry, findings)
        if len(listing.files) == before and not has_entries:
            findings.defect("empty class", entry.name, "the folder holds no image")
    return listing


def _check_beside_classes(entry: os.DirEntry[str], findings: Findings) -> None:
    """Add a defect for a file beside the class folders that may be an image, decoded or not, and for a broken link."""
    if entry.name.lower().endswith(SUFFIXES):
        findings.defect("outside a class folder", entry.name, "move it into the folder of its class")
    elif entry.is_symlink() and not Path(entry.path).exists():
        findings.defect("broken link", entry.name, "it leads nowhere")


def _list_class(listing: Listing, folder: os.DirEntry[str], findings: Findings) -> bool:
    """Add one class folder's images; True where the folder held anything at all."""
    has_entries, spellings = False, Spellings()
    for entry in _entries(Path(folder.path), f"{folder.name}/", findings):
        has_entries = True
        name = f"{folder.name}/{entry.name}"
        if name_is_valid(entry.name, name, findings) and is_usable(listing.root, Path(entry.path), name, findings):
            warn_of_same_file_name(entry.name, name, spellings, findings)
            listing.add(len(listing.files), len(listing.labels) - 1)
            listing.files.append(name)
    return has_entries


def _entries(folder: Path, prefix: str, findings: Findings) -> Iterator[os.DirEntry[str]]:
    """A folder's entries that are not hidden, by name."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        findings.defect("unreadable folder", prefix or folder.name, error.strerror or "it cannot be opened")
        return iter(())
    return (entry for entry in ordered if not is_passed_over(entry.name, prefix + entry.name, findings))


def _stays_inside(root: Path, entry: os.DirEntry[str], findings: Findings) -> bool:
    return not entry.is_symlink() or is_inside(root, Path(entry.path), entry.name, findings)
