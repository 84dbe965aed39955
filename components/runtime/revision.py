"""The revision of the code: what ran, be it a checkout or an image."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from model.environment import Environment
from model.files import sha256_sources

_PACKAGES = ("model", "serving", "components")


@cache
def code_revision() -> str:
    """The package's version and a hash of its source.

    It is taken once a run and handed to its steps, so that an edit in between cannot give one run two revisions.
    """
    if given := Environment().code_revision:
        return given
    root = Path(__file__).parents[2]
    found = (file for package in _PACKAGES for file in sorted((root / package).rglob("*")))
    files = (file for file in found if file.is_file() and "__pycache__" not in file.parts)
    return f"{version('glocal')}+{sha256_sources(root, files)[:12]}"
