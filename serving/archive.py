"""The archive: a release packed for a server of models. It is built here, hashed, and checked before anything opens it."""

import contextlib
import re
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from model.errors import InvalidInput, NotFound
from model.files import atomic_file, sha256_file, write_text
from model.schemas.calibration import Calibration, Reference
from model.schemas.gallery_record import GALLERY_RECORD, GalleryRecord
from model.schemas.release_manifest import RELEASE_MANIFEST, ReleaseManifest
from model.scratch import scratch_folder
from serving.protocol import MODEL_NAME, MODEL_VERSION, RELEASE, SIGNATURE

if TYPE_CHECKING:
    from model.release import Release

Wrapping = Mapping[str, bytes]
"""What a server needs in an archive beside the release, by name of the entry: see `Backend.wrapping`."""
MAX_ENTRIES = 10_000
MAX_TOTAL = 16 * 2**30
MAX_RATIO = 50
_LOCAL_HEADER = 30
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Archive:
    """A .mar file and the SHA-256 of its bytes."""

    path: Path
    sha256: str


def build_archive(release: "Release", store: Path, *, name: str, version: str, wrapping: Wrapping) -> Archive:
    """Pack a whole release with its signature: the same release, signature, name, version and wrapping give the same bytes.

    Args:
        release: The release; the copy that is packed is verified.
        store: Folder to write the archive and its hash to.
        name: Name of the served model.
        version: Version of the served model.
        wrapping: What the server needs beside the release.

    Raises:
        InvalidInput: The release was changed since it was opened, or name or version cannot be part of an address.
    """
    from model.release import open_release  # numpy, which the query command does without

    target = archive_file(store, name, version)
    with scratch_folder("archive") as scratch:
        copied = shutil.copytree(release.folder, scratch / RELEASE, symlinks=True)
        if open_release(copied).id != release.id:
            raise InvalidInput(f"The release at {release.folder} was changed.", "Fetch it again, or run the pipeline again.")
        _remove_folders(target, _hash_file(target))
        with atomic_file(target) as partial:
            signature = {SIGNATURE: release.signature.encode()} if release.signature else {}
            _zip(copied, {**wrapping, **signature}, partial)
    archive = Archive(target, sha256_file(target))
    write_text(_hash_file(target), f"{archive.sha256}  {target.name}\n")
    check_archive(target)
    return archive


def archive_file(store: Path, name: str, version: str) -> Path:
    """Where the archive of a version lies.

    Raises:
        InvalidInput: Name or version cannot be part of a file name or an address.
    """
    if not MODEL_NAME.fullmatch(name) or not MODEL_VERSION.fullmatch(version):
        raise InvalidInput(f"A model cannot be served as {name} {version}.", "Use letters, digits, dashes and underscores.")
    return store / f"{name}-{version}.mar"


def stored_archive(release: "Release", store: Path, *, name: str, version: str, wrapping: Wrapping) -> Archive | None:
    """The archive that `build_archive` would make, if it lies in the store already and is whole; None if it does not."""
    try:
        archive = verify_archive(archive_file(store, name, version))
        is_it = stored_manifest(archive.path).release_id == release.id and is_wrapped(archive, wrapping)
    except (InvalidInput, NotFound):
        return None
    return archive if is_it and _signature(archive.path) == release.signature else None


def verify_archive(path: Path, sha256: str | None = None) -> Archive:
    """Check an archive's bytes against the hash beside it (and `sha256`, if given), and its structure.

    Raises:
        NotFound: The archive or its hash is not there.
        InvalidInput: It was changed, or its structure is unsafe.
    """
    if not path.is_file() or not _hash_file(path).is_file():
        raise NotFound(f"There is no archive {path} with its hash beside it.", "Run the pipeline again: glocal run DIR.")
    declared = _hash_file(path).read_text(encoding="utf-8", errors="replace").split()[:1]
    actual = sha256_file(path)
    if declared != [actual] or sha256 not in {None, actual}:
        raise InvalidInput(f"The archive {path.name} was changed.", "Run the pipeline again: glocal run DIR.")
    check_archive(path)
    return Archive(path, actual)


def is_wrapped(archive: Archive, wrapping: Wrapping) -> bool:
    """Whether a verified archive holds what the server needs, as this revision has it; there may be more."""
    with zipfile.ZipFile(archive.path) as packed:
        names = set(packed.namelist())
        return all(name in names and packed.read(name) == content for name, content in wrapping.items())


def stored_manifest(path: Path) -> ReleaseManifest:
    """The manifest of an archive's release.

    Raises:
        InvalidInput: There is none that can be read.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            return ReleaseManifest.model_validate_json(packed.read(f"{RELEASE}/{RELEASE_MANIFEST}"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"The archive {path.name} holds no release.", "Run the pipeline again: glocal run DIR.") from error


def stored_calibration(path: Path) -> Calibration | None:
    """The thresholds of an archive's release; None if they cannot be read."""
    try:
        with zipfile.ZipFile(path) as packed:
            return Calibration.model_validate_json(packed.read(f"{RELEASE}/calibration.json"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def stored_reference(path: Path) -> Reference | None:
    """What an archive's release says its answers are like; None if it says nothing, or cannot be read."""
    calibration = stored_calibration(path)
    return calibration.reference if calibration else None


def stored_gallery(path: Path) -> GalleryRecord | None:
    """The record of the gallery in an archive's release; None in a release of before there were any.

    Raises:
        InvalidInput: It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            name = f"{RELEASE}/{GALLERY_RECORD}"
            return GalleryRecord.model_validate_json(packed.read(name)) if name in packed.namelist() else None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"The archive {path.name} holds no gallery.", "Run the pipeline again: glocal run DIR.") from error


def stored_image(path: Path) -> bytes | None:
    """A golden image of an archive's release; None if it has none, or cannot be read."""
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as packed:
        golden = [name for name in packed.namelist() if name.startswith(f"{RELEASE}/golden/") and not name.endswith(".json")]
        return packed.read(golden[0]) if golden else None
    return None


def pack_again(archive: Archive, *, name: str, version: str, wrapping: Wrapping) -> Archive:
    """Replace a verified archive by one with the same release and another wrapping.

    Raises:
        InvalidInput: The release in it cannot be used.
    """
    from model.release import open_release

    with scratch_folder("archive") as scratch:
        release = replace(open_release(unpack_release(archive.path, scratch)), signature=_signature(archive.path))
        return build_archive(release, archive.path.parent, name=name, version=version, wrapping=wrapping)


def unpack_release(path: Path, folder: Path) -> Path:
    """Unpack the release of a verified archive, and nothing else of it; returns the release's folder."""
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder, [entry for entry in packed.namelist() if entry.startswith(f"{RELEASE}/")])
    return folder / RELEASE


def unpack_signed(path: Path, folder: Path) -> Path:
    """Unpack the manifest of a verified archive's release, and its signature if it has one; returns the release's folder."""
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder, {f"{RELEASE}/{RELEASE_MANIFEST}", SIGNATURE}.intersection(packed.namelist()))
    return folder / RELEASE


def check_archive(path: Path) -> None:
    """Refuse an archive that is not safe to extract, without extracting anything.

    Raises:
        InvalidInput: No zip file, entries outside its folder, links, duplicates, too many or too large ones, or entries that
            a reader going from front to back would see otherwise than one that reads the directory at the end.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise InvalidInput(f"The archive {path.name} has {len(entries)} entries, more than {MAX_ENTRIES}.")
            for entry in entries:
                _check_entry(entry, path)
            _check_whole(archive, entries, path)
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"{path.name} is no archive.", str(error)[:200]) from error


def remove_archive(path: Path) -> None:
    """Delete an archive and its hash, or folders in their place, if they are there."""
    _remove_folders(path, _hash_file(path))
    path.unlink(missing_ok=True)
    _hash_file(path).unlink(missing_ok=True)


def _signature(path: Path) -> str:
    """The signature in a verified archive; empty if it has none."""
    with zipfile.ZipFile(path) as packed:
        return packed.read(SIGNATURE).decode(errors="replace") if SIGNATURE in packed.namelist() else ""


def _remove_folders(*paths: Path) -> None:
    """Delete folders that stand where the store keeps files."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def _hash_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    name = entry.orig_filename
    mode = entry.external_attr >> 16
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or ".." in parts or re.search(r"[\\\x00-\x1f]|^[A-Za-z]:", name):
        raise InvalidInput(f"The archive {path.name} holds an entry outside its folder.")
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise InvalidInput(f"The archive {path.name} holds a link or a device.")
    if entry.flag_bits & 0x09:  # encrypted, or sizes that come after the data
        raise InvalidInput(f"The archive {path.name} holds an entry of a kind that we do not write.")
    if entry.file_size > MAX_RATIO * max(1024, entry.compress_size):
        raise InvalidInput(f"The archive {path.name} unpacks to far more than it holds.")


def _check_whole(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], path: Path) -> None:
    if sum(entry.file_size for entry in entries) > MAX_TOTAL:
        raise InvalidInput(f"The archive {path.name} unpacks to more than {MAX_TOTAL} bytes.")
    if len({entry.filename.casefold() for entry in entries}) != len(entries):
        raise InvalidInput(f"The archive {path.name} holds two entries of one name.")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset != end:
            raise InvalidInput(f"The archive {path.name} holds data that its directory does not name.")
        with archive.open(entry) as stream:  # compares the local name with the directory's
            while stream.read(2**20):  # and size and checksum with the data
                pass
        end = entry.header_offset + _local_size(archive, entry) + entry.compress_size
    if end != archive.start_dir:
        raise InvalidInput(f"The archive {path.name} holds data that its directory does not name.")


def _local_size(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    stream = archive.fp
    if stream is None:
        raise ValueError("closed")
    stream.seek(entry.header_offset)
    header = stream.read(_LOCAL_HEADER)
    return _LOCAL_HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _zip(release: Path, wrapping: Wrapping, out: Path) -> None:
    files = {file.relative_to(release.parent).as_posix(): file for file in release.rglob("*") if file.is_file()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted({*files, *wrapping}):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            if name in wrapping:
                archive.writestr(entry, wrapping[name])
                continue
            entry.file_size = files[name].stat().st_size
            with files[name].open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 2**20)
