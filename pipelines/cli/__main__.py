"""`python -m pipelines.cli` is `glocal`."""

from pipelines.cli.app import main

main()
