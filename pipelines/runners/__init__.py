"""Runners of the compiled pipeline."""
