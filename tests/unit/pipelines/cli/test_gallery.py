"""What `glocal gallery` asks for, and what it shows."""

import pytest

import pipelines.galleries
import serving.galleries
from model.schemas.gallery import GalleryBase, GalleryChange, GalleryDiff
from model.schemas.run_result import RunResult

BASE = GalleryBase(model="shelf", version="3", champion="3")
CHANGE = {"version": "3", "release": "r" * 16, "images": 12, "labels": 4, "added": {"mug": 2}, "removed": {}}


@pytest.fixture
def asked(monkeypatch):
    """What the pipelines were asked for, without running them."""
    calls = []
    monkeypatch.setattr(pipelines.galleries, "choose_base", lambda uri, name="", version="": BASE)

    def enrol(source, base, config, **named):
        calls.append((source, base, named["replace"], named["name"], named["why"], config))
        return RunResult(status="succeeded", gallery=GalleryChange.model_validate(CHANGE))

    def remove(labels, ids, base, _config, **named):
        calls.append((labels, ids, base, named["why"]))
        return RunResult(status="succeeded")

    monkeypatch.setattr(pipelines.galleries, "run_enrolment", enrol)
    monkeypatch.setattr(pipelines.galleries, "run_removal", remove)
    return calls


@pytest.mark.parametrize(
    ("command", "setting"), [(("add", "."), "index.min_recall=0.9"), (("remove", "--label", "mug"), "data.split=gallery")]
)
def test_a_setting_that_would_change_nothing_is_refused(glocal, asked, command, setting):
    code, _, error = glocal("gallery", *command, "--set", setting)
    assert code == 2
    assert f"{setting} changes nothing here." in error
    assert not asked


def test_images_are_added_without_a_question_and_the_change_is_shown(glocal, asked, tmp_path):
    (tmp_path / "mugs").mkdir()
    code, out, error = glocal("gallery", "add", tmp_path / "mugs", "--data-name", "mine", "--why", "new", "--set",
                              "gate.max_collisions=0.3")  # fmt: skip
    assert (code, out) == (0, "")
    (source, base, replace, name, why, config), = asked  # fmt: skip
    assert (source, base, replace, name, why) == (str(tmp_path / "mugs"), BASE, False, "mine", "new")
    assert config.gate.max_collisions == 0.3
    assert "  added     2 images: mug (2)\n  gallery   12 images of 4 labels" in error


@pytest.mark.parametrize("words", [["build", "."], ["remove", "--label", "mug"]])
def test_nothing_is_removed_unless_a_person_or_an_option_says_so(glocal, asked, words):
    code, out, error = glocal("gallery", *words)
    assert (code, out, asked) == (2, "", [])
    assert "Add --yes, or look first: --dry-run." in error
    assert glocal("gallery", *words, "--yes")[0] == 0
    assert len(asked) == 1


def test_labels_and_ids_may_be_repeated(glocal, asked):
    glocal("gallery", "remove", "--label", "mug", "--label", "cup", "--id", "a/1.jpg", "--yes")
    assert asked == [(["mug", "cup"], ["a/1.jpg"], BASE, "a removal")]
    code, _, error = glocal("gallery", "remove")
    assert (code, "Nothing is named" in error) == (2, True)


def test_a_source_that_is_not_there_is_refused_before_anything_starts(glocal, asked):
    code, _, error = glocal("gallery", "add", "nothing-here")
    assert (code, asked) == (2, [])
    assert "There is no folder nothing-here." in error


def test_without_a_champion_there_is_no_gallery(glocal):
    code, out, error = glocal("gallery", "list")
    assert (code, out) == (3, "")
    assert error == "Error: No model has a champion.\n  Train one: glocal run DIR.\n"


def test_a_difference_is_lines_that_a_person_reads(glocal, monkeypatch):
    size = {"release": "r" * 16, "embedding_space_id": "s" * 16, "images": 2, "labels": 1, "data": ["shelf@0000000"]}
    found = GalleryDiff.model_validate(
        {
            "before": size,
            "after": size | {"images": 3, "labels": 2, "data": ["shelf@0000000", "mugs@4f2c1ab"]},
            "same_space": True,
            "same_thresholds": False,
            "labels_added": ["mu\u202eg"],
            "labels_removed": [],
            "added": {"mu\u202eg": ["mugs@4f2c1ab/1.jpg"]},
            "removed": {"cup": ["a.jpg"]},
        }
    )
    monkeypatch.setattr(serving.galleries, "compare_versions", lambda uri, name, before, after: found)
    code, out, _ = glocal("gallery", "diff", "1", "2")
    assert code == 0
    assert out.splitlines() == [
        "space        the same",
        "thresholds   others",
        "data         shelf@0000000 -> shelf@0000000 mugs@4f2c1ab",
        "images       2 -> 3",
        "labels       1 -> 2",
        "new label    mu\\u202eg",
        "+ mu\\u202eg  mugs@4f2c1ab/1.jpg",
        "- cup  a.jpg",
    ]
    assert GalleryDiff.model_validate_json(glocal("gallery", "diff", "1", "2", "--json")[1]) == found
