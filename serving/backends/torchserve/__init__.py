"""TorchServe: its archives, its process, its management address, and the rollout of a release. Only this package knows it."""
