"""Text that other people wrote, made harmless to show: a name, a label or a reason may hold any character."""

import re
import unicodedata

_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")
_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_ISOLATE, _END = "\u2068", "\u2069"


def visible(text: str) -> str:
    """The text on one line: line breaks become spaces, and control and direction characters become their escapes.

    `visible("a\\u202eb")` is a, a backslash, `u202e`, b.
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", _BREAKS.sub(" ", text))


def isolated(text: str) -> str:
    """`visible` text that cannot turn round the words beside it: right-to-left text stands between Unicode isolates."""
    shown = visible(text)
    turned = any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in shown)
    return f"{_ISOLATE}{shown}{_END}" if turned else shown
