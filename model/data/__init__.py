"""Data: import, validation, splits, versions, images, cached maps."""
