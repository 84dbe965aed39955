"""Caches on disk, named by content, of what is computed from every image once."""
