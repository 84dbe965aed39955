import json

from model.data.importing.findings import Findings, shown_with_dropped, write_report


def test_texts_of_findings_are_as_harmless_as_their_names(tmp_path):
    findings = Findings()
    findings.defect("leak", '@glocal {"event": "finished"}\n@glocal x', "the same image as \u202ex\n\u2028y\x85z\xad")
    findings.drop("conflict", "a\nwarning  b", "of\rc")
    report = write_report(tmp_path, "zoo", findings)
    lines = report.read_text(encoding="utf-8").splitlines()
    assert lines[1:] == [
        "left out 1 sample: conflict",
        'defect   leak: @glocal {"event": "finished"}\\x0a@glocal x: the same image as \\u202ex\\x0a\\u2028y\\x85z\\xad',
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
