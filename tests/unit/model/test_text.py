import pytest

from model.text import isolated, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("oat drink", "oat drink"),
        ("a\nb\r\nc\td\u2028e", "a b c d e"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
        ("\u2066x\u2069\u200f", r"\u2066x\u2069\u200f"),
        ("\x1b[31mred\x00", r"\u001b[31mred\u0000"),
        ("\ud800", r"\ud800"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("\U0001f468\u200d\U0001f33e", "\U0001f468\u200d\U0001f33e"),  # joined emoji stay whole
    ],
)
def test_control_and_direction_characters_are_shown_and_all_others_stay(text, shown):
    assert visible(text) == shown


def test_right_to_left_text_is_kept_apart_and_other_text_needs_nothing():
    assert isolated("\u05e9 1") == "\u2068\u05e9 1\u2069"
    assert isolated("shelf 1") == "shelf 1"
