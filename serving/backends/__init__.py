"""The servers behind the endpoint, in one package for each."""
