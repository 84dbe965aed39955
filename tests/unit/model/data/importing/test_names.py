import unicodedata

import pytest

from model.data.importing.findings import Findings
from model.data.importing.names import Spellings, is_hidden, is_passed_over, is_system
from tests.support.sources import Survey, draw, make_source

NFC, NFD = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))
SYSTEM = [
    *("Icon\r", "@eaDir", "ehthumbs.db", "Thumbs.db", "desktop.ini", "lost+found", "__MACOSX", "._0.jpg", ".Trashes"),
    *(".Trash-1000", "$RECYCLE.BIN", "System Volume Information", ".git", ".dvc", ".ipynb_checkpoints", ".DS_Store"),
    *("#recycle", "@Recently-Snapshot", "@__thumb", ".@__thumb", ".fseventsd", ".Spotlight-V100", "0.jpg@SynoEAStream"),
]


@pytest.mark.parametrize("name", SYSTEM)
def test_files_and_folders_of_systems_are_passed_over_without_a_word(name):
    findings = Findings()
    assert is_system(name)
    assert is_passed_over(name, name, findings)
    assert findings.warnings == []


@pytest.mark.parametrize("name", ["thumbs", "icon", "recycled", "macosx", "lost", "ant", "@home", "#1", "$5"])
def test_names_that_a_class_may_well_have_are_the_users(name):
    assert not is_hidden(name)


def test_a_hidden_name_that_no_system_makes_is_passed_over_and_named(tmp_path):
    root = make_source(tmp_path / "source")
    draw(root / ".cats" / "0.png", 50)
    draw(root / "ant" / ".2.png", 51)
    survey = Survey(root)
    assert survey.defects == []
    assert [(found.kind, found.name) for found in survey.findings.warnings] == [
        ("passed over", ".cats"),
        ("passed over", "ant/.2.png"),
    ]
    assert len(survey.paths) == 8


def test_what_file_managers_leave_is_neither_counted_nor_stored(tmp_path):
    root = make_source(tmp_path / "source")
    for name in SYSTEM:
        draw(root / "ant" / name / "thumb.png", 60)
        draw(root / name / "0.png", 61)
    survey = Survey(root)
    assert (survey.defects, survey.warnings) == ([], [])
    stored = sorted(path.relative_to(survey.out).as_posix() for path in survey.out.rglob("*") if path.is_file())
    assert stored == sorted([*survey.paths, "manifest.csv"])
    assert survey.record["samples_by_split"]["train"] + survey.record["samples_by_split"]["test"] == 6


def test_a_class_of_nothing_but_a_file_managers_files_is_empty(tmp_path):
    root = make_source(tmp_path / "source")
    (root / "eel").mkdir()
    (root / "eel" / "Icon\r").touch()
    assert Survey(root).defects == [("empty class", "eel")]


def test_two_spellings_of_one_text_are_told_from_two_texts():
    spellings = Spellings()
    assert spellings.other(NFC) is None
    assert spellings.other(NFC) is None
    assert spellings.other(NFD) == NFC
    assert spellings.other("Kase") is None


def test_two_classes_that_read_the_same_are_named_in_letters_that_differ(tmp_path):
    root = make_source(tmp_path / "source", ("ant", "bee", NFC, NFD))
    survey = Survey(root)
    assert [kind for kind, _ in survey.defects] == ["same class name"]
    assert "K\\xe4se" in survey.findings.defects[0].text
    assert "Ka\\u0308se" in survey.findings.defects[0].text


def test_two_files_that_read_the_same_are_a_warning_and_both_are_stored(tmp_path):
    root = make_source(tmp_path / "source")
    draw(root / "ant" / f"{NFC}.png", 70)
    draw(root / "ant" / f"{NFD}.png", 71)
    survey = Survey(root)
    assert (survey.defects, survey.warnings) == ([], ["same file name"])
    assert {f"ant/{NFC}.png", f"ant/{NFD}.png"} <= set(survey.paths)


def test_names_that_differ_in_capitals_only_are_two_names(tmp_path):
    root = make_source(tmp_path / "source", ("ant", "Ant", "bee", "Bee"))
    draw(root / "ant" / "x.png", 80)
    draw(root / "ant" / "X.png", 81)
    survey = Survey(root)
    assert (survey.defects, survey.warnings, len(survey.paths)) == ([], [], 10)


def test_a_link_that_leads_back_to_itself_is_named(tmp_path):
    root = make_source(tmp_path / "source")
    (root / "ant" / "loop.png").symlink_to(root / "ant" / "loop.png")
    (root / "eel").symlink_to(root / "eel")
    assert Survey(root).defects == [("broken link", "ant/loop.png"), ("broken link", "eel")]
