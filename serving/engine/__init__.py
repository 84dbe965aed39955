"""The engine, which answers queries from a release without a server. Versions that earlier revisions registered
import `Engine` from here."""

from serving.engine.engine import Engine

__all__ = ["Engine"]
