"""The servers behind the endpoint, each known in one package."""
