import json

import pytest

from model.data.importing.findings import LONGEST_TEXT, Findings, printable, shown_with_dropped, write_report


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain.jpg", "plain.jpg"),
        ("Käse 林檎 🍎.png", "Käse 林檎 🍎.png"),
        ("👨\u200d👩\u200d👧.png", "👨\u200d👩\u200d👧.png"),
        ("a\nb\r\x07.png", "a\\x0ab\\x0d\\x07.png"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("a\u2066b\u2069\u200f\u061c", "a\\u2066b\\u2069\\u200f\\u061c"),
        ("line\u2028and\u2029paragraph\x85", "line\\u2028and\\u2029paragraph\\x85"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\udcff.png", "\\xff.png"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("=1+1", "=1+1"),
    ],
)
def test_a_name_is_shown_on_one_line_and_in_its_order(text, shown):
    assert printable(text) == shown


def test_of_a_long_text_both_ends_are_shown():
    shown = printable("a" * 100_000 + "z")
    assert len(shown) < LONGEST_TEXT
    assert shown.startswith("aaa")
    assert shown.endswith("az")
    assert "100001 characters" in shown


def test_texts_of_findings_are_as_harmless_as_their_names(tmp_path):
    findings = Findings()
    findings.defect("leak", '@glocal {"event": "finished"}\n@glocal x', "the same image as \u202ex\n\u2028y")
    findings.drop("conflict", "a\nwarning  b", "of\rc")
    report = write_report(tmp_path, "zoo", findings)
    lines = report.read_text(encoding="utf-8").splitlines()
    assert lines[1:] == [
        "left out 1 samples: conflict",
        'defect   leak: @glocal {"event": "finished"}\\x0a@glocal x: the same image as \\u202ex\\x0a\\u2028y',
        "warning  conflict: a\\x0awarning  b: of\\x0dc",
    ]
    assert json.loads((tmp_path / "zoo.json").read_text())["dropped"] == {"conflict": 1}


def test_a_person_is_told_a_line_for_each_reason_and_then_the_other_warnings(tmp_path):
    findings = Findings()
    for number in range(30):
        findings.drop("leak", f"{number}.png", "left out")
    findings.drop("unreadable", "x.png", "left out", samples=3)
    findings.warn("copy", "a.png", "the same image as b.png")
    assert shown_with_dropped(findings.warnings, findings.dropped, tmp_path / "zoo.txt") == [
        f"left out 30 samples: leak; named in {tmp_path}/zoo.txt",
        f"left out 3 samples: unreadable; named in {tmp_path}/zoo.txt",
        "copy: a.png: the same image as b.png",
    ]
