"""What the two sides of the endpoint, and the archive between them, agree on."""

import re

MODEL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Pattern of the name of a served model."""
K_HEADER = "Glocal-K"
"""Header with the number of neighbours wanted: TorchServe hands its handlers headers, but no query parameters."""
MAX_DIGITS = 9
"""Maximum digits of the number of neighbours, before it is clamped to the gallery's size."""
RELEASE = "release"
"""Name of the folder in an archive that holds the release."""
