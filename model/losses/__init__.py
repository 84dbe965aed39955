"""Losses by which the heads learn."""
