"""From a file's name in a table to the file, for any Unicode form, any slashes, and several folders that it may start from."""

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from model.data.importing.findings import Findings
from model.data.importing.links import is_folder, is_usable
from model.data.importing.listing import Listing
from model.data.importing.names import is_hidden, is_system, name_is_valid, same_text

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
Parts = tuple[str, ...]


class Finder:
    """Finds the files that a table names, and enters each once into a listing."""

    def __init__(self, listing: Listing, table: Path, findings: Findings) -> None:
        self._listing, self._findings = listing, findings
        self._root, self._home = listing.root.absolute(), table.absolute().parent
        below = (entry for entry in os.scandir(self._root) if is_folder(entry) and not is_hidden(entry.name))
        self._below = sorted(Path(entry.path) for entry in below)
        self._known: dict[str, int | None] = {}  # name in the table -> index in the listing
        self._entered: dict[str, int] = {}  # path of the file -> index in the listing
        self._names: dict[tuple[Path, Callable[[str], str]], dict[str, list[str]]] = {}

    def find(self, name: str, where: str) -> int | None:
        """Index of a file in the listing. If the file cannot be used, a defect is added and None returned."""
        if name not in self._known:
            self._known[name] = self._locate(name, f"{where}: {name}")
        return self._known[name]

    def _locate(self, name: str, where: str) -> int | None:
        parts, folders = self._parts(name, where)
        if not parts or not all(name_is_valid(part, where, self._findings) for part in parts):
            return None
        if any(is_system(part) for part in parts):
            self._findings.defect("invalid name", where, "it lies where a file manager or a tool keeps its own; move it")
            return None
        files = self._existing(folders, parts, same_text)
        if len(files) == 1:
            return self._enter(files[0], where)
        if files:
            shown = ", ".join(self._shown(path) for path in files)
            self._findings.defect("ambiguous", where, f"there are several: {shown}; write the folder with the name")
        else:
            self._name_missing(folders, parts, where)
        return None

    def _parts(self, name: str, where: str) -> tuple[Parts, list[list[Path]]]:
        """The parts of a name, and groups of folders that it may start from, in their order; no parts if the name is refused."""
        usual = [[self._home], [self._root], self._below]
        parts = PurePosixPath(name).parts
        if _ADDRESS.match(name):
            self._findings.defect("address", where, "it is an address, and no file; download the image and name its file")
        elif _WINDOWS.match(name):
            end = "/".join(re.split(r"[\\/]", name)[-2:])
            text = f"it is an absolute Windows path; write it relative to the folder, such as {end}"
            self._findings.defect("absolute path", where, text)
        elif ".." in parts or ".." in name.split("\\"):
            self._findings.defect("link out of the folder", where, "it holds '..'; write it relative to the folder")
        elif parts[:1] == ("/",):
            return self._inside(name, where), [[self._root]]
        elif not parts:
            self._findings.defect("missing", where, "it names no file")
        elif "\\" in name and not self._existing(usual, parts, same_text):
            return PurePosixPath(name.replace("\\", "/")).parts, usual
        else:
            return parts, usual
        return (), usual

    def _inside(self, name: str, where: str) -> Parts:
        """The parts of an absolute name below the imported folder; a defect and no parts if it lies elsewhere."""
        for root in (self._root, self._root.resolve()):
            if PurePosixPath(name).is_relative_to(root) and (parts := PurePosixPath(name).relative_to(root).parts):
                return parts
        text = f"it does not lie in {self._root}; write it relative to that folder"
        self._findings.defect("absolute path", where, text)
        return ()

    def _existing(self, folders: list[list[Path]], parts: Parts, fold: Callable[[str], str]) -> list[Path]:
        """The files of that name in the first group of folders that has any."""
        for group in folders:
            if files := [path for folder in group for path in self._matching(folder, parts, fold)]:
                return files
        return []

    def _matching(self, folder: Path, parts: Parts, fold: Callable[[str], str]) -> list[Path]:
        """The file `parts` below a folder; if there is none, the files whose names are the same once folded."""
        if os.path.lexists(path := folder.joinpath(*parts)):
            return [path]
        if fold is same_text and all(part.isascii() for part in parts):
            return []
        paths = [folder]
        for part in parts:
            paths = [path / name for path in paths for name in self._named(path, fold).get(fold(part), [])]
        return paths

    def _named(self, folder: Path, fold: Callable[[str], str]) -> dict[str, list[str]]:
        """The names in a folder, by their folded form."""
        if (folder, fold) not in self._names:
            names: dict[str, list[str]] = {}
            if folder.is_dir():
                for name in sorted(path.name for path in folder.iterdir()):
                    names.setdefault(fold(name), []).append(name)
            self._names[folder, fold] = names
        return self._names[folder, fold]

    def _name_missing(self, folders: list[list[Path]], parts: Parts, where: str) -> None:
        near = self._existing(folders, parts, str.casefold)
        if near:
            text = f"there is {self._shown(near[0])}: capitals matter"
        else:
            text = "it is in none of the folders: names start at the table, at the imported folder, or at a folder in that"
        self._findings.defect("missing", where, text)

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)

    def _enter(self, path: Path, where: str) -> int | None:
        root = self._root
        if not path.is_relative_to(root) or not path.parent.resolve().is_relative_to(root.resolve()):
            self._findings.defect("link out of the folder", where, "it leads out of the folder that is imported")
            return None
        if not is_usable(root, path, where, self._findings):
            return None
        relative = path.relative_to(root).as_posix()
        if relative not in self._entered:
            self._entered[relative] = len(self._listing.files)
            self._listing.files.append(relative)
        return self._entered[relative]
