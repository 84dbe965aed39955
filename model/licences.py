"""The licences of a model's parts, read from the source of each part and never guessed."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

NAMES = {"LICENSE", "LICENCE", "COPYING"}
"""Names of licence files, without their suffix."""
UNKNOWN = "unknown: ask the publisher"
LONGEST = 200
"""Characters of a licence's headline from which on it is cut."""
_READ = 10_000


def headline(text: str) -> str:
    """The first paragraph of a licence on one line, which names it."""
    paragraph = text.replace("\r\n", "\n").strip("\ufeff \t\n").split("\n\n")[0]
    line = " ".join(word for word in paragraph.split() if word.isprintable())
    return line if len(line) <= LONGEST else line[:LONGEST].rstrip() + " ..."


def of_folder(folder: Path) -> str:
    """The licence in a file of `folder`, such as LICENSE, and that file's name; '' if there is none.

    Folders above are not searched, because their licences may be those of something else.
    """
    for file in sorted(folder.iterdir()):
        if file.stem.upper() in NAMES and file.is_file() and not file.is_symlink():  # a link may lead outside the folder
            with file.open(encoding="utf-8", errors="replace") as stream:
                if said := headline(stream.read(_READ)):
                    return f"{said} (the file {file.name})"
    return ""


def of_weights(trunk: str, weights: str) -> str:
    """The licence of the weights that a trunk starts from.

    Args:
        trunk: Name of a timm model.
        weights: `offline`, `hub` or `none`, as in `model.networks.trunk.make_trunk`.
    """
    if weights == "none":
        return "none needed: the trunk starts from random weights"
    if weights == "hub":
        return of_hub(trunk)
    from model.networks.trunk import LITE0_PACKAGE

    return of_package(LITE0_PACKAGE)


def of_package(name: str) -> str:
    """The licence of an installed package: that of its licence file, else that of its metadata."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return UNKNOWN
    origin = f"the package {package.metadata['Name']} {package.version}"
    for file in package.files or []:
        if Path(file.name).stem.upper() in NAMES and (said := headline(file.read_text())):
            return f"{said} ({origin}, its file {file.name})"
    stated = package.metadata.get_all("License-Expression") or package.metadata.get_all("License") or ["UNKNOWN"]
    return f"{UNKNOWN if stated[0] == 'UNKNOWN' else headline(stated[0])} ({origin})"


def of_hub(trunk: str) -> str:
    """The licence that timm states for a model's pretrained weights."""
    import timm

    stated = timm.get_pretrained_cfg(trunk)
    if stated is None or not stated.license:
        return UNKNOWN
    return f"{stated.license} (as timm states it for {stated.hf_hub_id or trunk})"
