"""The engine, which answers queries from a release without a server. Stored archives import `Engine` from here."""

from serving.engine.engine import Engine

__all__ = ["Engine"]
