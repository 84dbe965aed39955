"""What surrounds a step: its events, its record, its log, the revision of the code, the image it runs in."""
