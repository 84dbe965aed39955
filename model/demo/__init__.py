"""A drawn catalogue of packaged products, to try everything with."""
