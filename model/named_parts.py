"""Named parts of a network or a loss: attention blocks and loss terms that settings choose by name.

The names must be known without importing torch, so that `glocal --help` stays quick. A part's class is therefore
imported when the part is built.
"""

import difflib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any


def lazy(path: str) -> Callable[..., Any]:
    """A function that imports the class at `module:name` and calls it with the arguments it is given."""

    def build(*arguments: Any) -> Any:
        return pkgutil.resolve_name(path)(*arguments)

    return build


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint that a known name was meant, if one is spelled like `name`; else empty."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {found[0]!r}?" if found else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is spelled most like `name`."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
