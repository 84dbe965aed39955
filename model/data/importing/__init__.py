"""From a folder, a CSV or an `s3://` prefix to a checked, split data set."""
