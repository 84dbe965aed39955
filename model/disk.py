"""What a full, read-only or closed disk looks like, whichever tool reports it, and what to do about it."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.errors import GlocalError, StorageFailed

_FULL = ("no space left on device", "disk quota exceeded", "database or disk is full")
_READ_ONLY = ("read-only file system", "attempt to write a readonly database")
_DAMAGED = ("database disk image is malformed", "file is not a database")
_FULL_CODES = {errno.ENOSPC, errno.EDQUOT}
_CLOSED_CODES = {errno.EACCES, errno.EPERM}
_LEAST_BYTES = 64 * 1024
_PERMISSION = "Change its permissions; GLOCAL_HOME must be a folder that this user can write to."


def disk_error(error: BaseException, *places: Path) -> StorageFailed | None:
    """The error of a disk that took no more or gives back damage, in our words; None if `error` has another cause.

    Args:
        error: What was raised. Its causes are looked at as well, and what a tool wrote into its message.
        places: Folders that were written to. The error names the one without room, if it names no file itself.
    """
    for each in _chain(error):
        code, text = getattr(each, "errno", None), str(each).lower()
        name = _name(each)
        if code in _FULL_CODES or any(words in text for words in _FULL):
            return no_room(name or _fullest(places))
        if code == errno.EROFS or any(words in text for words in _READ_ONLY):
            return read_only(name or _first(places))
        if any(words in text for words in _DAMAGED):
            return StorageFailed(f"A database in {_first(places)} is damaged.", "Restore it from a backup, or move it away.")
        if isinstance(each, OSError) and code in _CLOSED_CODES and name:
            return StorageFailed(f"{name} may not be opened by this user.", _PERMISSION)
    return None


def system_error(error: BaseException, home: Path, hint: str) -> GlocalError | None:
    """The error of an operation that the system refused, in our words; None if `error` has another cause.

    Args:
        error: What was raised.
        home: GLOCAL_HOME.
        hint: Hint for a refusal that is not the disk's.
    """
    if disk := disk_error(error, home, Path(tempfile.gettempdir())):
        return disk
    if isinstance(error, OSError) and error.strerror:
        name = _name(error) or "a file"
        if isinstance(error, IsADirectoryError) and Path(name).is_relative_to(home):
            return GlocalError(f"{name} is a folder, and Glocal keeps a file there.", "Move it away; then repeat the command.")
        return GlocalError(f"{error.strerror}: {name}.", hint)
    return None


def full_place(*places: Path) -> Path | None:
    """The first of the folders whose disk has no room left."""
    return next((place for place in places if _has_no_room(place)), None)


def no_room(place: object) -> StorageFailed:
    """The error of a full disk."""
    return StorageFailed(f"There is no room left on the disk of {place}.", _elsewhere("Make room there"))


def read_only(place: object) -> StorageFailed:
    """The error of a disk that is mounted read-only."""
    return StorageFailed(f"{place} lies on a read-only disk.", _elsewhere("Make it writable"))


def check_writable(place: Path) -> None:
    """Refuse a folder or file on a read-only disk, or one that this user may not write to, before a tool fails at it.

    Raises:
        StorageFailed: It cannot be written to.
    """
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        raise read_only(place)
    if not os.access(place, os.W_OK | os.X_OK if place.is_dir() else os.W_OK):
        raise StorageFailed(f"{place} may not be written to by this user.", _PERMISSION)


@contextmanager
def disk_errors(*places: Path) -> Iterator[None]:
    """Raise what a disk refuses within the block as `StorageFailed`; every other error passes as it is."""
    try:
        yield
    except GlocalError:
        raise
    except Exception as error:
        explained = disk_error(error, *places)
        if explained is None:
            raise
        raise explained from error


def _elsewhere(remedy: str) -> str:
    return f"{remedy}, or set GLOCAL_HOME to a folder on another disk; then repeat the command."


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _name(error: BaseException) -> str:
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return os.fsdecode(name) if isinstance(name, str | bytes) else ""


def _fullest(places: tuple[Path, ...]) -> str:
    return str(full_place(*places) or _first(places))


def _first(places: tuple[Path, ...]) -> str:
    return str(places[0]) if places else "the temporary folder or GLOCAL_HOME"


def _has_no_room(place: Path) -> bool:
    existing = next((each for each in (place, *place.parents) if each.exists()), None)
    with suppress(OSError):
        if existing is not None:
            found = os.statvfs(existing)
            no_names = found.f_files > 0 and found.f_favail == 0
            return no_names or found.f_bavail * found.f_frsize < _LEAST_BYTES
    return False


def temporary_folder(needed: int) -> Path | None:
    """The system's temporary folder, if files can be made in it and `needed` bytes are free.

    The current folder, which Python takes as its last resort, does not count.
    """
    with suppress(OSError):
        found = Path(tempfile.gettempdir())
        disk = os.statvfs(found)
        if found != Path.cwd() and disk.f_bavail * disk.f_frsize >= needed:
            with tempfile.TemporaryFile(dir=found) as probe:
                probe.write(b"probe")
            return found
    return None
