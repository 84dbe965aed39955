"""The import of a folder, a CSV or an `s3://` prefix as a checked and split data set."""
