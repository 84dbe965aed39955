"""The function by which long work reports its progress, and its words."""

import sys
from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Function that is called with the amount done, the total, and a text. A total of 0 means that only the text counts."""


def progress_text(done: int, total: int, what: str) -> str:
    """Progress in words, such as `64 of 560 images embedded`; without a total the text alone."""
    return f"{done} of {total} {what}" if total else what


def print_progress(done: int, total: int, what: str) -> None:
    """Print progress as a line on standard error."""
    print(progress_text(done, total, what), file=sys.stderr, flush=True)
