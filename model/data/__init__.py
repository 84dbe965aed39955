"""Data: import, validation, splits, versions, pictures, cached maps."""
