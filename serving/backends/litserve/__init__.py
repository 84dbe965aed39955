"""LitServe: each loaded version is a server of its own, as none can be loaded while one runs. Only this package knows it."""
