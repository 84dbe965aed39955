"""A file of a source as bytes, read with a limit; an error says why a file is refused."""

import os
from pathlib import Path

from model.data.decoding.limits import ImageLimits


class Defect(Exception):
    """Why one file is refused.

    Attributes:
        kind: Kind of the finding, such as `unreadable`.
        text: One line for a person.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def read_file(path: Path, limits: ImageLimits) -> bytes:
    """A file's bytes, at least one and at most as many as the limits allow.

    Raises:
        Defect: The file cannot be opened, is empty, or has more bytes.
    """
    try:
        # O_NONBLOCK: a pipe put in the file's place since it was listed must not hang the import
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            data = stream.read(limits.max_bytes + 1)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise Defect("unreadable", error.strerror or "it cannot be opened") from error
    if len(data) > limits.max_bytes:
        raise Defect("oversized", f"it has {size} bytes, more than {limits.max_bytes}")
    if not data:
        raise Defect("unreadable", "it is empty")
    return data
