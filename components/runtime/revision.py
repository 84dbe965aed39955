"""The revision of the code of a run, from a checkout or an image."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from model.environment import Environment
from model.files import sha256_sources
from serving.registry.commit import PACKAGES


@cache
def code_revision() -> str:
    """The package's version and a hash of its source.

    A run takes it once and hands it to its steps, so that an edit in between cannot give one run two revisions.
    """
    if given := Environment().code_revision:
        return given
    root = Path(__file__).parents[2]
    paths = (path for package in PACKAGES for path in sorted((root / package).rglob("*")))
    files = (file for file in paths if file.is_file() and "__pycache__" not in file.parts)
    return f"{version('glocal')}+{sha256_sources(root, files)[:12]}"
