"""Benchmarks: the commands that measured the figures of the documents. Neither training nor serving needs them."""
