"""Untrusted text, such as a name, a label or a reason, made harmless to show: it may hold any character."""

import re
import unicodedata

LONGEST_EXCERPT = 500
"""Characters of a text from which on its middle is left out."""
_UNSEEN = {"Cc", "Cf", "Zl", "Zp"}
"""Unicode categories of characters that cannot be seen: controls, format characters, separators of lines and paragraphs."""
_JOINERS = "\u200c\u200d"
"""Invisible characters that scripts and emoji need; they reorder nothing and are left alone."""
_LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte: file names hold bytes that are no UTF-8 as U+DC80 to U+DCFF."""
_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_ISOLATE, _END = "\u2068", "\u2069"
_ISOLATED = re.compile("\u2068([^\u2066-\u2069]*)\u2069")
"""What `isolated` made: nothing in it reorders what stands beside it."""


def visible(text: str) -> str:
    r"""The text on one line and in the order it is written, wherever it is shown.

    Bytes that are no UTF-8, control characters, line breaks, and characters that turn the direction of writing or cannot be seen
    become escapes: `visible("a\u202eb\n")` is a, a backslash, `u202e`, b, a backslash, `x0a`. The rest is left alone, and what is
    `isolated` stays so.
    """
    whole = _LONE_SURROGATES.sub(lambda match: _escaped(match[0]), text)
    decoded = whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    parts = _ISOLATED.split(decoded)  # by turns what lies outside of isolates, and within
    return "".join(f"{_ISOLATE}{_shown(part)}{_END}" if number % 2 else _shown(part) for number, part in enumerate(parts))


def excerpt(text: str) -> str:
    """The `visible` text; of a long one the middle is left out."""
    shown = visible(text)
    if len(shown) <= LONGEST_EXCERPT:
        return shown
    return f"{shown[: LONGEST_EXCERPT // 2]} ... ({len(shown)} characters) ... {shown[-LONGEST_EXCERPT // 4 :]}"


def one_line(text: str) -> str:
    """A free text, such as a person's reason: `visible`, with a space in place of each line break or other white space."""
    return visible(" ".join(text.split()))


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 sample`, `2 samples`; `several` is the plural where it does not just end in s."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def isolated(text: str) -> str:
    """The `visible` text, between Unicode isolates if it is right-to-left, so that it cannot reorder the words beside it."""
    shown = visible(text)
    turned = any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in shown)
    return f"{_ISOLATE}{shown}{_END}" if turned else shown


def _shown(text: str) -> str:
    return "".join(_escaped(character) if _is_unseen(character) else character for character in text)


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
