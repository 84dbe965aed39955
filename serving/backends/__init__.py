"""The servers of models behind the gateway: the port, and an adapter in each folder."""

from importlib import import_module
from typing import TYPE_CHECKING

from model.environment import Environment

if TYPE_CHECKING:
    from model.home import ServeFolder
    from serving.backends.port import Backend

ADAPTERS = ("torchserve", "litserve", "kubernetes")
"""Folders of the adapters, each with a module `backend` whose `BACKEND` is the adapter."""


def named(name: str) -> "Backend":
    """The adapter of this name."""
    backend: Backend = import_module(f"{__name__}.{name}.backend").BACKEND
    return backend


def chosen() -> "Backend":
    """The adapter that the setting names."""
    return named(Environment().backend)


def running(folder: "ServeFolder") -> "Backend | None":
    """The adapter whose server runs in a home, whatever the setting says; None if none runs."""
    return next((each for each in map(named, ADAPTERS) if each.runs(folder)), None)
