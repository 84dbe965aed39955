"""Benchmarks: what the figures in the documents were measured with. Each is a command; none is needed to train or to serve."""
