"""The gate of a changed gallery."""

import numpy as np
import pytest

from model.config import GateConfig
from model.evaluation.gallery_gate import decide_gallery
from model.gallery_changes import add_images, remove_images, replace_gallery
from model.schemas.decision import ComparedChampion
from tests.support.enrolment import drawn, drawn_hashes, make_base, pinned
from tests.support.releases import draw_image

CHAMPION = ComparedChampion(name="drawn", version="3", data="drawn@0000000")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return drawn_hashes(tmp_path_factory.mktemp("drawn"))


def decided(candidate, base, max_collisions=0.0):
    decision = decide_gallery(candidate, base, CHAMPION, GateConfig(max_collisions=max_collisions))
    return decision, {rule.name: rule for rule in decision.rules}


def grown(base, known, folder, images):
    return add_images(
        base, pinned(folder / "data", images), folder / "release", hashes=lambda pin: known, code_revision="test"
    ).release


def nearest(base, candidate):
    """Similarity of each new image to the nearest entry that was there before."""
    vectors = candidate.gallery.vectors[len(base.gallery) :]
    return (vectors @ base.gallery.vectors.T).max(axis=1)


def test_new_objects_below_the_threshold_pass_and_every_rule_says_its_figures(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=1.0)
    decision, rules = decided(grown(base, known, tmp_path, drawn("mug", 20, 21, 22)), base)
    assert decision.passed
    assert decision.champion == CHAMPION
    assert list(rules) == ["same_space", "golden", "max_collisions", "look_alikes"]
    assert base.embedding_space_id in rules["same_space"].text
    assert rules["golden"].text == "2 of the 2 golden queries whose object stays find the same label first: held."
    assert decision.queries == 2 + 3
    # no success in three trials: the exact interval ends at 1 - 0.025 ** (1 / 3)
    assert f"0 of 3 new images (0.0000, 95 % interval [0.0000, {1 - 0.025 ** (1 / 3):.4f}])" in rules["max_collisions"].text
    assert rules["max_collisions"].threshold == 0.02  # the upper end of the stated rate's interval


def test_the_same_object_under_two_names_is_refused_and_both_names_are_said(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=0.9999)
    candidate = grown(base, known, tmp_path, drawn("mug", 3, 8, size=96))  # entries 3 and 8, class 3, at another size
    assert nearest(base, candidate).min() > 0.9999
    decision, rules = decided(candidate, base)
    assert not decision.passed
    assert [name for name, rule in rules.items() if not rule.held] == ["max_collisions"]
    assert rules["max_collisions"].figure == 1.0
    assert "mug as class 3 (2 of 2 images)" in decision.refused[0]


def test_one_image_of_many_that_is_taken_for_another_object_is_within_what_the_threshold_states(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=0.9999)
    images = drawn("mug", *range(20, 29)) | drawn("mug", 3, size=96)
    candidate = grown(base, known, tmp_path, images)
    assert (nearest(base, candidate) > 0.9999).sum() == 1
    _, rules = decided(candidate, base)
    # 1 of 10: the exact interval begins at 1 - 0.975 ** (1 / 10) = 0.0025
    assert "1 of 10 new images (0.1000, 95 % interval [0.0025," in rules["max_collisions"].text
    assert "mug as class 3 (1 of 10 images)" in rules["max_collisions"].text
    assert rules["max_collisions"].held


def test_labels_that_look_alike_are_named_however_strict_the_threshold_is(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=1.0)
    candidate = grown(base, known, tmp_path, drawn("mug", 3, 8, size=96) | drawn("cup", 4, size=96))
    rule = decided(candidate, base)[1]["look_alikes"]
    assert (rule.held, rule.figure) == (True, 1), "of a label with one image nothing can be said"
    assert "mug (2 of 2 images nearest to class 3)" in rule.text


def test_a_setting_allows_objects_that_look_alike(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=0.9999)
    candidate = grown(base, known, tmp_path, drawn("mug", 3, 8, size=96))
    # 2 of 2: the exact interval begins at 0.025 ** (1 / 2) = 0.158
    assert not decided(candidate, base, max_collisions=0.15)[0].passed
    assert decided(candidate, base, max_collisions=0.16)[0].passed


def test_more_images_of_a_label_are_no_collision_with_it(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=0.9999)
    candidate = grown(base, known, tmp_path, drawn("class 3", 3, 8, size=96))
    assert "0 of 2 new images" in decided(candidate, base)[1]["max_collisions"].text


def test_a_release_without_thresholds_is_held_to_none(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=-1.0)
    (tmp_path / "base" / "calibration.json").write_text("{}")
    base.__dict__.pop("calibration", None)
    candidate = grown(base, known, tmp_path, drawn("mug", 20))
    rule = decided(candidate, base)[1]["max_collisions"]
    assert (rule.held, rule.figure) == (True, None)
    assert "states no threshold" in rule.text


def test_images_of_a_new_gallery_are_compared_with_one_another(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=0.9999)
    twins = drawn("mug", 20, 21) | {f"cup/{seed}.png": ("cup", draw_image(seed, size=96)) for seed in (20, 21)}
    candidate = replace_gallery(base, pinned(tmp_path / "data", twins), tmp_path / "release", code_revision="test")
    decision, rules = decided(candidate, base)
    assert not decision.passed
    assert "4 of 4 new images" in rules["max_collisions"].text
    assert "cup as mug (2 of 2 images)" in rules["max_collisions"].text
    assert rules["golden"].text.startswith("0 of the 0 golden queries")


def test_another_embedding_space_is_refused(known, tmp_path):
    base, other = make_base(tmp_path / "base", threshold=1.0), make_base(tmp_path / "other", threshold=1.0, seed=1)
    decision, rules = decided(other, base)
    assert not rules["same_space"].held
    assert not decision.passed


def test_a_golden_query_that_finds_another_label_is_refused_unless_its_entry_was_removed(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=1.0)
    first = base.golden[0].neighbours[0]
    golden = base.golden_image(base.golden[0]).read_bytes()
    images = pinned(tmp_path / "data", {"mug/1.png": ("mug", golden)})
    candidate = add_images(base, images, tmp_path / "candidate", hashes=lambda pin: known, code_revision="test").release
    decision, rules = decided(candidate, base)
    assert not rules["golden"].held
    assert f"0.png finds mug, not {first.label}" in decision.refused[0]
    removed = remove_images(candidate, tmp_path / "removed", ids=[first.id], image_of=None, code_revision="test")
    expected = [each for each in base.golden if each.neighbours[0].id != first.id]
    assert decided(removed, base)[1]["golden"].text.startswith(f"{len(expected)} of the {len(expected)} golden")


def test_the_figures_are_those_of_the_vectors(known, tmp_path):
    base = make_base(tmp_path / "base", threshold=1.0)
    candidate = grown(base, known, tmp_path, drawn("mug", *range(20, 30)))
    scores = np.sort(nearest(base, candidate))
    between = float((scores[5] + scores[6]) / 2)
    again = make_base(tmp_path / "again", threshold=between)
    candidate = grown(again, known, tmp_path / "2", drawn("mug", *range(20, 30)))
    assert decided(candidate, again)[1]["max_collisions"].figure == pytest.approx(0.4)
