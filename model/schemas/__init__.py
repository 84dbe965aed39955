"""Values that steps exchange and people read: typed, immutable, with a JSON schema."""
