"""Galleries: how the entries of a release are stored, and how they are searched."""
