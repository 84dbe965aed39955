"""TorchServe: its configuration, its process, its management address, its handler. Only this package knows it."""
