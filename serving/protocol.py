"""What the sides of the endpoint, and the archive between them, agree on."""

import re

ANYWHERE = "0.0.0.0"  # noqa: S104  # bound only where the settings say so
"""All addresses of this machine."""
LOOPBACK = "127.0.0.1"
"""The address that everything of the endpoint listens at."""
MODEL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Pattern of the name of a served model."""
MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Pattern of the version of a served model."""
RELEASE = "release"
"""Name of the folder in an archive that holds the release."""
SIGNATURE = "release.sig"
"""Name of the file beside a stored or packed release that holds its signature."""
TYPE = "urn:glocal:"
"""Beginning of the type of a problem document; the kind of the error follows."""


def local_address(port: int, host: str = LOOPBACK) -> str:
    """Address of what listens at a port of this machine, at one of its addresses or at all (0.0.0.0)."""
    return f"http://{LOOPBACK if host == ANYWHERE else host}:{port}"


def bearer(token: str) -> dict[str, str]:
    """The header that shows a key or a token."""
    return {"Authorization": f"Bearer {token}"}
