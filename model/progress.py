"""The function by which long work reports its progress."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Function that is called with the amount done, the total, and a text. A total of 0 means that only the text counts."""
