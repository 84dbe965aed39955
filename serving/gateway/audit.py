"""The audit log: a line for each call that was refused for its key, and for each key that was made or revoked.

The gateway writes its lines by `logging`, and bounds the file. Other processes add single lines to the same file.
"""

import logging
import os

from model.environment import current_user
from model.home import ServeFolder
from model.text import visible
from serving.printed import FORMAT

AUDIT = logging.getLogger("glocal.gateway.audit")


def note_change(folder: ServeFolder, what: str, key: str, about: str = "") -> None:
    """Add a line on a key that this user changed.

    Args:
        folder: Folder of the endpoint's files.
        what: What was done, such as `created`.
        key: Id of the key.
        about: What else is to be known of it.

    Raises:
        OSError: The line cannot be written.
    """
    said = " ".join(filter(None, [what, f"key={key}", about, f"by={visible(current_user())}"]))
    record = AUDIT.makeRecord(AUDIT.name, logging.INFO, "", 0, said, (), None)
    folder.gateway_logs.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.audit_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{FORMAT.format(record)}\n".encode())
    finally:
        os.close(descriptor)
