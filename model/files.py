"""Files that appear whole or not at all, and the hashes that name them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

REMOVED = ".removed"
"""End of the name of what `remove_whole` was killed over; such a name begins with a dot."""
T = TypeVar("T")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a path beside `path` to write to; if the block succeeds, the file becomes `path`, with the permissions `mode`.

    A crash at any point leaves the old file or the new one. Meanwhile only its owner may read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named(path.parent):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(mode)
        _fsync(partial)
        os.replace(partial, path)
        _fsync(path.parent)
    except OSError as error:
        if error.filename is None:  # the system does not name the file of a failed write
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` to fill; if the block succeeds, the folder becomes `path`.

    An existing `path` is replaced. A crash leaves the old folder or the new one. Between the two renames it leaves the old folder
    as `<name>.old`, which the next call puts back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    retired = path.with_name(path.name + ".old")
    if retired.exists() and not path.exists():
        os.replace(retired, path)
    with _named(path.parent):
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file() and not file.is_symlink():
                _fsync(file)
        partial.chmod(0o755)
        shutil.rmtree(retired, ignore_errors=True)
        if path.exists():
            os.replace(path, retired)
        os.replace(partial, path)
        _fsync(path.parent)
        shutil.rmtree(retired, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Errors of the block name the folder, and not the file that was to be made in it for a moment."""
    try:
        yield
    except OSError as error:
        error.filename = str(folder)
        raise


def remove_whole(path: Path) -> None:
    """Remove a file or folder at one moment: it is renamed, and what has the other name is deleted. See `REMOVED`."""
    aside = path.with_name(f".{path.name}{REMOVED}")
    _delete(aside)
    os.replace(path, aside)
    _delete(aside)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file, or a folder in its place, to `<name>.damaged`, with a number if that name is taken.

    Returns:
        The new path.
    """
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged.{number}")
    path.rename(aside)
    return aside


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write `text` to `path` atomically, as UTF-8, with the permissions `mode`."""
    with atomic_file(path, mode) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Write `value` to `path` atomically, as JSON with sorted keys, with the permissions `mode`. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", mode)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if the file is missing or damaged."""
    try:
        content = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


class Watched(Generic[T]):
    """What a file holds, read again when the file has changed.

    Args:
        path: The file.
        read: Called with its path, whether it is there or not.
    """

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path, self._read = path, read
        self._held: tuple[object, T] | None = None

    def value(self) -> T:
        """The value of the file as it is now. An error of `read` is passed on."""
        try:
            state = self._path.stat()
            seen: object = (state.st_mtime_ns, state.st_ino, state.st_size)
        except OSError as error:
            seen = error.errno
        if self._held is None or self._held[0] != seen:
            self._held = seen, self._read(self._path)
        return self._held[1]


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_sources(root: Path, files: Iterable[Path]) -> str:
    """The SHA-256 of the names below `root` and the bytes of files, in their given order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """The SHA-256 of a JSON value in its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_folder(path: Path) -> str:
    """The SHA-256 of the names and bytes of all files below `path`, or of the file at `path`."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_json([[file.relative_to(path).as_posix(), sha256_file(file)] for file in files])
