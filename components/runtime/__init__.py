"""The surroundings of a step: its events, record and log, the revision of its code, its image, and where a training runs."""
