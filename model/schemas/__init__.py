"""The nouns that travel between steps and to people: typed, immutable, with a JSON schema."""
