"""The stored release at work, without a server. Stored archives import `Engine` from here."""

from serving.engine.engine import Engine

__all__ = ["Engine"]
