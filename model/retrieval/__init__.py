"""Retrieval: gallery, search, local features and re-ranking."""
