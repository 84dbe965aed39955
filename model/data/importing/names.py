"""Names of files, folders and classes: whether they belong to a file manager, can be stored, or are the same text."""

import unicodedata

from model.data.importing.findings import Findings

LONGEST_NAME = 255
"""Maximum length of a file name in bytes."""
_SYSTEM_NAMES = {
    # Windows
    "thumbs.db",
    "thumbs.db:encryptable",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    # macOS
    "icon\r",
    "__macosx",
    "network trash folder",
    "temporary items",
    # Linux
    "lost+found",
    # NAS boxes
    "@eadir",
    "@tmp",
    "@recycle",
    "#recycle",
    "#snapshot",
    "@recently-snapshot",
    "@__thumb",
}
_SYSTEM_ENDINGS = ("@synoeastream", "@synoresource")
_HIDDEN_SYSTEM_NAMES = {
    # file managers
    ".ds_store",
    ".localized",
    ".appledouble",
    ".appledb",
    ".appledesktop",
    ".volumeicon.icns",
    ".fseventsd",
    ".spotlight-v100",
    ".documentrevisions-v100",
    ".temporaryitems",
    ".trashes",
    ".directory",
    ".hidden",
    ".nomedia",
    ".thumbnails",
    ".comments",
    ".picasa.ini",
    ".picasaoriginals",
    ".snapshot",
    ".@__thumb",
    # tools of programmers
    ".git",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".gitkeep",
    ".keep",
    ".hg",
    ".svn",
    ".dvc",
    ".dvcignore",
    ".ipynb_checkpoints",
    ".idea",
    ".vscode",
    ".cache",
    ".venv",
    ".glocal",
}
_HIDDEN_SYSTEM_STARTS = ("._", ".trash", ".nfs", ".~lock", ".fuse_hidden")


def is_system(name: str) -> bool:
    """Whether a file or folder is known to belong to a file manager, a NAS box or a tool, and not to the user."""
    lower = name.lower()
    if lower.startswith("."):
        return lower in _HIDDEN_SYSTEM_NAMES or lower.startswith(_HIDDEN_SYSTEM_STARTS)
    return lower in _SYSTEM_NAMES or lower.endswith(_SYSTEM_ENDINGS)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over when a folder is listed: it belongs to a system, or its name starts with a dot."""
    return name.startswith(".") or is_system(name)


def is_passed_over(name: str, where: str, findings: Findings) -> bool:
    """Whether a file or folder is hidden. Adds a warning if it is hidden and no system is known to make it."""
    if not is_hidden(name):
        return False
    if not is_system(name):
        findings.warn("passed over", where, "its name starts with a dot; rename it if it belongs to the data set")
    return True


def name_is_valid(part: str, name: str, findings: Findings) -> bool:
    """Whether one part of a path can be stored; adds a defect if not. Control characters and bytes that are no UTF-8 cannot."""
    try:
        encoded = part.encode("utf-8")
    except UnicodeEncodeError:
        findings.defect("invalid name", name, "it is not UTF-8; rename it")
        return False
    if any(unicodedata.category(character) == "Cc" for character in part):
        findings.defect("invalid name", name, "it holds control characters; rename it")
        return False
    if len(encoded) > LONGEST_NAME:
        findings.defect("invalid name", name, f"it has {len(encoded)} bytes, more than {LONGEST_NAME}; shorten it")
        return False
    return True


def same_text(text: str) -> str:
    """The NFC form of a text, which is equal for all its spellings: an ä may be one character, or an a and a mark."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class Spellings:
    """Names that were seen, in order to find two that differ in their bytes only and look the same."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def other(self, name: str) -> str | None:
        """An earlier name that is the same text in other bytes; None where there is none."""
        if name.isascii():
            return None
        first = self._seen.setdefault(same_text(name), name)
        return first if first != name else None


def refuse_same_class_name(label: str, where: str, spellings: Spellings, findings: Findings) -> None:
    """Add a defect for a class whose name is the same text as another's and differs in its bytes only."""
    if (other := spellings.other(label)) is not None:
        text = f"it reads like the class {other!a} and is spelled {label!a} (Unicode NFC and NFD); give both one name"
        findings.defect("same class name", where, text)


def warn_of_same_file_name(part: str, name: str, spellings: Spellings, findings: Findings) -> None:
    """Warn of a file whose name is the same text as another's: on some systems the two cannot lie in one folder."""
    if (other := spellings.other(part)) is not None:
        findings.warn("same file name", name, f"another file is spelled {other!a}; some systems keep only one of the two")
