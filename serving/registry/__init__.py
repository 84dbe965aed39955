"""MLflow: versions of releases, aliases, the ledger of promotions, the record of runs. Only this package knows it."""
