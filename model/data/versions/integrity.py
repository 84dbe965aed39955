"""Hashes of a folder: DVC's hash of its files' bytes, and a quick one of their names, sizes and times."""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from model.prefetching import prefetch


def file_md5(path: Path) -> str:
    """The MD5 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(folder: Path) -> str:
    """DVC's hash of a folder: the MD5 of the JSON list of its files' MD5s and names, sorted by name."""
    names = sorted(_names(folder))
    digest = hashlib.md5(usedforsecurity=False)
    hashes = prefetch((partial(file_md5, folder / name) for name in names), 4)
    for number, (name, md5) in enumerate(zip(names, hashes, strict=True)):
        digest.update(b", " if number else b"[")
        digest.update(json.dumps({"md5": md5, "relpath": name}, sort_keys=True).encode())
    digest.update(b"]" if names else b"[]")
    return digest.hexdigest()


def table_hash(folder: Path) -> str:
    """The SHA-256 of every file's name, size and time of change. A changed, missing or extra file changes it."""
    digest = hashlib.sha256()
    for name in sorted(_names(folder)):
        status = (folder / name).lstat()
        row = f"{len(name)} {name} {status.st_size} {status.st_mtime_ns} {status.st_mode}\n"
        digest.update(row.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _names(folder: Path) -> Iterator[str]:
    """Every file below `folder`, relative to it, with `/`; links count as files."""
    for parent, _, files in os.walk(folder):
        prefix = "" if Path(parent) == folder else Path(parent).relative_to(folder).as_posix() + "/"
        yield from (prefix + name for name in files)
