"""The surroundings of a step: its events, its record, its log, the revision of the code and its container image."""
