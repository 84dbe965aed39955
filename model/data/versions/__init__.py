"""Versions of data sets. Only this package knows DVC and git."""
