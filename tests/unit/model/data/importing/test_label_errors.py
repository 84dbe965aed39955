"""What real data sets hold: one image in several classes, copies across the split, classes of one image, damaged files."""

import shutil

import numpy as np
import pytest

from tests.support.sources import Survey, draw, make_source


@pytest.fixture
def source(tmp_path):
    """Six classes of three images each: a and b train, c validates, d, e and f test."""
    return make_source(tmp_path / "source", tuple("abcdef"), shots=3)


def copy(source, one, other):
    (source / other).write_bytes((source / one).read_bytes())


def test_the_labels_of_one_image_in_two_classes_cannot_be_trusted_so_all_copies_leave(source):
    copy(source, "d/0.png", "e/copy.png")
    copy(source, "d/0.png", "d/again.png")
    survey = Survey(source, conflicts="drop")
    assert survey.defects == []
    assert survey.dropped == survey.record["dropped"] == {"conflict": 3}
    assert [found.name for found in survey.findings.warnings] == ["d/0.png (d)", "d/again.png (d)", "e/copy.png (e)"]
    assert not {"d/0.png", "d/again.png", "e/copy.png"} & set(survey.paths)
    assert not (survey.out / "e/copy.png").exists()
    assert len(survey.paths) == 17


def test_conflicts_may_be_kept_and_are_named(source):
    copy(source, "d/0.png", "e/copy.png")
    survey = Survey(source, conflicts="keep")
    assert (survey.defects, survey.warnings, survey.dropped) == ([], ["in two classes"], {})
    assert {"d/0.png", "e/copy.png"} <= set(survey.paths)


def test_a_conflict_fails_unless_a_setting_says_otherwise_and_names_the_setting(source):
    copy(source, "d/0.png", "e/copy.png")
    survey = Survey(source)
    assert survey.defects == [("in two classes", "d/0.png (d, test)")]
    assert "data.conflicts" in survey.findings.defects[0].text


@pytest.mark.parametrize("leaks", ["fail", "drop"])
def test_an_image_in_two_classes_on_two_sides_is_a_conflict_first(source, leaks):
    copy(source, "a/0.png", "e/copy.png")
    survey = Survey(source, leaks=leaks)
    assert survey.defects == [("in two classes", "a/0.png (a, train)")]
    assert survey.findings.defects[0].text == "the same image as e/copy.png (e, test); see data.conflicts"
    assert survey.dropped == {}


def test_the_copies_of_one_class_are_no_leak_as_long_as_the_image_is_in_two_classes(source):
    rows = ["file,label,split", *(f"{name}/{shot}.png,{name}," for name in "abcdef" for shot in range(3))]
    for number, (label, split) in enumerate((("a", "train"), ("a", "test"), ("e", "test"))):
        copy(source, "d/0.png", f"d/copy{number}.png")
        rows.append(f"d/copy{number}.png,{label},{split}")
    (source / "manifest.csv").write_text("\n".join(row for row in rows if not row.startswith("d/0.png")))
    split = {"class on both sides"}  # the class itself
    assert {kind for kind, _ in Survey(source, leaks="drop").defects} - split == {"in two classes"}
    assert {kind for kind, _ in Survey(source, conflicts="keep").defects} - split == {"leak"}


@pytest.mark.parametrize(
    ("split", "settings", "defects", "dropped"),
    [
        ("test", {}, ["class on both sides"], {}),
        ("test", {"leaks": "drop"}, ["class on both sides"], {}),
        ("scene", {}, ["leak"], {}),
        ("scene", {"leaks": "drop"}, [], {"leak": 1}),
    ],
)
def test_an_image_of_one_class_leaks_through_a_scene_and_else_its_class_is_refused(source, split, settings, defects, dropped):
    copy(source, "a/0.png", "a/copy.png")
    rows = [f"{name}/{shot}.png,{name},{'train' if name == 'a' else ''}" for name in "abcdef" for shot in range(3)]
    (source / "manifest.csv").write_text("\n".join(["file,label,split", *rows, f"a/copy.png,a,{split}"]))
    survey = Survey(source, source / "manifest.csv", **settings)
    assert ([kind for kind, _ in survey.defects], survey.dropped) == (defects, dropped)


def test_a_kept_conflict_across_the_split_is_still_a_leak(source):
    copy(source, "a/0.png", "e/copy.png")
    assert Survey(source, conflicts="keep").defects == [("leak", "a/0.png (a, train)")]
    survey = Survey(source, conflicts="keep", leaks="drop")
    assert (survey.defects, survey.dropped) == ([], {"leak": 1})
    assert "e/copy.png" in survey.paths
    assert "a/0.png" not in survey.paths


def test_one_image_in_hundreds_of_classes_leaves_each_of_them(tmp_path):
    source = tmp_path / "source"
    logo = draw(tmp_path / "logo.png", 9999)
    for number in range(300):
        draw(source / f"{number:03d}" / "0.png", number)
        draw(source / f"{number:03d}" / "1.png", 1000 + number)
        shutil.copy(logo, source / f"{number:03d}" / "logo.png")
    survey = Survey(source, conflicts="drop")
    assert (survey.defects, survey.dropped, len(survey.paths)) == ([], {"conflict": 300}, 600)
    assert "in 300 classes" in survey.findings.warnings[0].text


def test_the_kind_of_cars_196_imports_with_the_settings(tmp_path):
    """9 pairs of one image in two classes, and exact copies across the class split; 196 classes, as there."""
    source = make_source(tmp_path / "source", [f"{number:03d}" for number in range(196)], shots=3)
    for number in range(9):
        copy(source, f"{100 + 2 * number:03d}/0.png", f"{101 + 2 * number:03d}/0.png")
    for number in range(5):
        copy(source, f"{number:03d}/1.png", f"{150 + number:03d}/1.png")
    refused = Survey(source)
    assert [kind for kind, _ in refused.defects] == ["in two classes"] * 14
    both = Survey(source, conflicts="drop")
    assert (both.defects, both.dropped, len(both.paths)) == ([], {"conflict": 28}, 588 - 28)
    kept = Survey(source, conflicts="keep", leaks="drop")
    assert (kept.defects, kept.dropped, len(kept.paths)) == ([], {"leak": 5}, 588 - 5)
    assert kept.warnings.count("in two classes") == 9
    for survey in (both, kept):
        assert {split: survey.record["classes_by_split"][split] for split in ("train", "val", "test")} == {
            **{"train": 78, "val": 20, "test": 98},
        }


def test_one_box_of_an_image_under_two_labels_leaves_with_the_setting(tmp_path):
    source = tmp_path / "source"
    for number in range(3):
        draw(source / f"{number}.png", number, 100)
    rows = ["file,label,split,xmin,ymin,xmax,ymax"]
    rows += [f"0.png,{label},test,0,0,40,50" for label in ("ace", "king")]
    rows += [f"{number}.png,{label},test,{x},0,{x + 40},50" for number in (1, 2) for label, x in (("ace", 0), ("king", 50))]
    (source / "manifest.csv").write_text("\n".join(rows))
    survey = Survey(source, split="manifest", conflicts="drop")
    assert (survey.defects, survey.dropped, len(survey.manifest)) == ([], {"conflict": 2}, 4)
    assert not (survey.out / "0.png").exists()


@pytest.fixture
def lonely(source):
    """Three classes of one image among six of three."""
    for number, name in enumerate(("aa", "bb", "ee")):
        draw(source / name / "only.png", 200 + number)
    return source


def test_classes_of_one_image_are_refused_by_default_and_name_the_setting(lonely):
    survey = Survey(lonely)
    assert survey.defects == [("class of one", name) for name in ("aa", "bb", "ee")]
    assert "data.singletons" in survey.findings.defects[0].text


def test_classes_of_one_image_may_be_left_out_and_the_others_split_as_without_them(lonely, source):
    survey = Survey(lonely, singletons="drop")
    assert (survey.defects, survey.dropped) == ([], {"singleton": 3})
    sides = dict(zip(survey.manifest.paths.tolist(), survey.manifest.splits.tolist(), strict=True))
    assert {path[0]: side for path, side in sides.items()} == {
        **{"a": "train", "b": "val", "c": "train", "d": "test", "e": "test", "f": "test"},
    }


def test_distractors_are_on_no_side_that_trains_validates_or_queries(lonely):
    survey = Survey(lonely, singletons="distractor")
    assert (survey.defects, survey.dropped, survey.warnings) == ([], {}, ["distractor"] * 3)
    manifest = survey.manifest
    assert sorted(manifest.paths[manifest.rows("distractor")]) == ["aa/only.png", "bb/only.png", "ee/only.png"]
    assert survey.record["classes_by_split"] == {"train": 2, "val": 1, "test": 3, "scene": 0, "distractor": 3}
    assert len(manifest.classified) == 21
    assert manifest.searched.splits.tolist() == ["test"] * 9 + ["distractor"] * 3
    assert np.array_equal(manifest.searched.rows("test"), np.arange(9))


def test_a_class_that_a_leak_leaves_with_one_image_is_treated_as_one_of_one_image(source):
    for shot in (0, 1):
        copy(source, f"a/{shot}.png", f"f/copy{shot}.png")
    assert Survey(source, leaks="drop", conflicts="keep").defects == [("class of one", "a")]
    dropped = Survey(source, leaks="drop", conflicts="keep", singletons="drop")
    assert (dropped.defects, dropped.dropped) == ([], {"leak": 2, "singleton": 1})
    kept = Survey(source, leaks="drop", conflicts="keep", singletons="distractor")
    assert kept.manifest.paths[kept.manifest.rows("distractor")].tolist() == ["a/2.png"]


def test_a_split_column_may_name_distractors_of_any_number(source):
    rows = ["file,label,split", *(f"{name}/{shot}.png,{name}," for name in "abcde" for shot in range(3))]
    rows += ["f/0.png,f,distractor", "f/1.png,f,distractor"]
    (source / "manifest.csv").write_text("\n".join(rows))
    survey = Survey(source)
    assert (survey.defects, survey.warnings) == ([], [])
    assert survey.record["samples_by_split"]["distractor"] == 2


def test_of_two_copies_the_one_that_is_tested_stays_before_a_distractor(source):
    copy(source, "f/0.png", "f/copy.png")
    rows = ["file,label,split", *(f"{name}/{shot}.png,{name}," for name in "abcdef" for shot in range(3))]
    (source / "manifest.csv").write_text("\n".join([*rows, "f/copy.png,g,distractor"]))
    survey = Survey(source, leaks="drop", conflicts="keep")
    assert (survey.defects, survey.dropped) == ([], {"leak": 1})
    assert "f/0.png" in survey.paths
    assert "f/copy.png" not in survey.paths


@pytest.fixture
def damaged(source):
    """One file of each kind that cannot be used."""
    (source / "a" / "text.jpg").write_text("no image")
    (source / "b" / "empty.png").touch()
    (source / "d" / "cut.png").write_bytes((source / "d" / "0.png").read_bytes()[:-20])
    (source / "e" / "fat.png").write_bytes((source / "e" / "0.png").read_bytes() + bytes(10**6))
    return source


def test_damaged_images_are_left_out_by_setting_named_and_counted(damaged):
    assert [kind for kind, _ in Survey(damaged).defects] == ["damaged", "oversized", "unreadable", "unsupported"]
    survey = Survey(damaged, skip_unreadable=True)
    assert survey.defects == []
    assert survey.dropped == {"damaged": 1, "oversized": 1, "unreadable": 1, "unsupported": 1}
    assert sorted(found.name for found in survey.findings.warnings) == ["a/text.jpg", "b/empty.png", "d/cut.png", "e/fat.png"]
    assert len(survey.paths) == 18


def test_a_class_that_lost_every_image_is_named_and_a_bad_name_is_no_bad_image(damaged):
    shutil.rmtree(damaged / "a")
    (damaged / "a").mkdir()
    (damaged / "a" / "text.jpg").write_text("no image")
    survey = Survey(damaged, skip_unreadable=True)
    assert survey.defects == []
    assert [found.name for found in survey.findings.warnings if found.kind == "class left out"] == ["a"]


def test_a_name_that_cannot_be_stored_is_refused_even_if_damaged_images_are_left_out(source):
    draw(source / "a" / "new.png", 90).rename(source / "a" / ("n" * 253))  # no room for the suffix that it needs
    assert [kind for kind, _ in Survey(source, skip_unreadable=True).defects] == ["invalid name"]


def test_a_skipped_file_counts_all_its_samples(tmp_path):
    source = make_source(tmp_path / "source")
    (source / "ant" / "bad.jpg").write_text("no image")
    rows = ["file,label,xmin,ymin,xmax,ymax", *(f"ant/bad.jpg,ant,{x},0,{x + 10},10" for x in (0, 10, 20))]
    rows += [f"{name}/{shot}.png,{name},,,," for name in ("ant", "bee", "cat", "dog") for shot in (0, 1)]
    (source / "manifest.csv").write_text("\n".join(rows))
    survey = Survey(source, skip_unreadable=True)
    assert (survey.defects, survey.dropped, survey.record["dropped"]) == ([], {"unsupported": 3}, {"unsupported": 3})


def test_where_nothing_is_left_nothing_is_imported(tmp_path):
    source = tmp_path / "source"
    for name in ("a", "b"):
        (source / name).mkdir(parents=True)
        (source / name / "0.jpg").write_text("no image")
    assert ("empty", "source") in Survey(source, skip_unreadable=True).defects
