import numpy as np
import pytest

from model.data.importing.findings import Findings
from model.data.importing.splits import SCENE, TEST, TRAIN, UNSET, VAL, assign, zero_shot
from model.data.manifest import SPLITS
from model.errors import InvalidInput


def sides_of(count: int, fraction: float = 0.2) -> list[str]:
    sides = zero_shot([f"{number:03d}" for number in range(count)], fraction)
    return [sides[name] for name in sorted(sides)]


def test_81_classes_give_41_to_train_and_validate_and_40_to_test():
    sides = sides_of(81)
    assert sides[41:] == ["test"] * 40
    assert sides[:41].count("val") == 8
    assert sides[:41].count("train") == 33


def test_validating_classes_are_spread_over_the_training_half():
    rows = [row for row, side in enumerate(sides_of(40)) if side == "val"]
    assert rows == [2, 7, 12, 17]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, ["train"]), (2, ["train", "test"]), (3, ["train", "val", "test"]), (4, ["train", "val", "test", "test"])],
)
def test_few_classes_still_leave_one_to_train_on(count, expected):
    assert sides_of(count) == expected


def test_the_order_in_which_classes_are_listed_does_not_matter():
    assert zero_shot(["b", "a", "d", "c"], 0.2) == zero_shot(["d", "c", "b", "a"], 0.2)


def test_a_fraction_of_one_is_refused():
    with pytest.raises(InvalidInput, match="validation_fraction"):
        zero_shot(["a", "b"], 1.0)


def given(*sides: int) -> np.ndarray:
    return np.array(sides, dtype=np.int8)


def test_scene_rows_stay_scenes_and_their_classes_are_split_as_usual():
    labels = np.array([0, 0, 1, 1])
    sides = assign(labels, given(UNSET, SCENE, UNSET, SCENE), ["a", "b"], Findings())
    assert [SPLITS[side] for side in sides] == ["train", "scene", "test", "scene"]


def test_a_filled_column_is_followed_and_the_rest_is_split_by_name():
    sides = assign(np.array([0, 1, 2]), given(TEST, UNSET, UNSET), ["a", "b", "c"], Findings())
    assert list(sides) == [TEST, TRAIN, TEST]


def test_a_class_on_both_sides_is_named():
    findings = Findings()
    assign(np.array([0, 0, 1]), given(TRAIN, TEST, VAL), ["apple", "pear"], findings, mode="manifest")
    assert [(defect.kind, defect.name) for defect in findings.defects] == [("class on both sides", "apple")]
    assert "train" in findings.defects[0].text
    assert "test" in findings.defects[0].text


def test_the_manifest_mode_names_each_class_without_a_split():
    findings = Findings()
    assign(np.array([0, 1]), given(TRAIN, UNSET), ["apple", "pear"], findings, mode="manifest")
    assert [defect.name for defect in findings.defects] == ["pear"]
