"""The surroundings of a step: its events, its record, its log, the revision of the code, its container image, and where a training runs."""
