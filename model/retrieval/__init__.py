"""Retrieval: gallery, search, calibration."""
