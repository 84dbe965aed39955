"""Data, networks, losses, training, retrieval and evaluation. This package imports no other package of Glocal."""
