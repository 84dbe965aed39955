"""The science: data, networks, losses, training, retrieval and evaluation. Imports nothing else of ours."""
