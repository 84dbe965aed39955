"""Strings in one buffer: a hundred thousand file names are a few megabytes."""

import os
from array import array


class Texts:
    """A list of strings; each costs its bytes and eight more."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def append(self, text: str) -> None:
        """Add `text` at the end."""
        self._bytes += os.fsencode(text)
        self._ends.append(len(self._bytes))

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return os.fsdecode(bytes(self._bytes[self._ends[index] : self._ends[index + 1]]))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def tobytes(self) -> bytes:
        """All strings and their ends as bytes, so that two lists can be compared by a hash."""
        return bytes(self._bytes) + self._ends.tobytes()
