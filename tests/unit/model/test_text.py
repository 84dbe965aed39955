import pytest

from model.text import LONGEST_EXCERPT, counted, excerpt, isolated, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("oat drink.jpg", "oat drink.jpg"),
        ("Käse 林檎 🍎.png", "Käse 林檎 🍎.png"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("\U0001f468\u200d\U0001f33e", "\U0001f468\u200d\U0001f33e"),  # joined emoji stay whole
        ("a\nb\r\x07\tc", r"a\x0ab\x0d\x07\x09c"),
        ("\x1b[31mred\x00", r"\x1b[31mred\x00"),
        ("line\u2028and\u2029paragraph\x85", r"line\u2028and\u2029paragraph\x85"),
        ("soft\xadhyphen", r"soft\xadhyphen"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
        ("\u2066x\u2069\u200f\u061c", r"\u2066x\u2069\u200f\u061c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("\udcff.png", r"\xff.png"),
        ("\udcc3\udca4.png", "ä.png"),  # bytes that a locale without UTF-8 did not decode
        ("\ud800\udcff", r"\ud800\xff"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("=1+1", "=1+1"),
    ],
)
def test_a_text_is_shown_on_one_line_and_in_its_order(text, shown):
    assert visible(text) == shown


def test_of_a_long_text_both_ends_are_shown():
    shown = excerpt("a" * 100_000 + "z")
    assert len(shown) < LONGEST_EXCERPT
    assert shown.startswith("aaa")
    assert shown.endswith("az")
    assert "100001 characters" in shown
    assert excerpt("a\n") == r"a\x0a"


def test_the_line_breaks_of_a_free_text_become_spaces():
    assert one_line(" a\nb\r\nc\td\u2028e\x85f\u202e ") == r"a b c d e f\u202e"


def test_right_to_left_text_is_kept_apart_and_other_text_needs_nothing():
    assert isolated("\u05e9 1") == "\u2068\u05e9 1\u2069"
    assert isolated("shelf 1") == "shelf 1"


def test_what_is_kept_apart_stays_so_in_the_sentence_that_names_it():
    sentence = " as ".join(map(isolated, ("\u05e9 1", "\u05dc")))
    assert visible(sentence) == one_line(sentence) == sentence
    assert visible("\u2068a\u202eb\u2069 c\u2069") == "\u2068a\\u202eb\u2069 c\\u2069"  # what breaks out is shown


def test_one_thing_is_singular_and_several_or_none_are_plural():
    assert [counted(number, "sample") for number in (0, 1, 2)] == ["0 samples", "1 sample", "2 samples"]
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]
