import numpy as np
import pytest

from model.detection.of_manifest import VIEWS, evaluation_scenes, has_boxes, make_detector
from tests.support.detection import NAMES, describer, samples, scene, shelf, shelves, thing, write


@pytest.fixture
def boxed(tmp_path):
    """Three images with one box each, and a shelf that is a scene."""
    image, boxes = shelf(*NAMES)
    rows = [(f"{name}.png", each.image, name, "train", each.box) for name, each in zip(NAMES, samples(), strict=True)]
    return write(tmp_path, rows + [("shelf.png", image, name, "scene", box) for name, box in boxes.items()])


def test_data_with_boxes_are_of_objects(boxed, tmp_path):
    assert has_boxes(boxed)
    assert not has_boxes(write(tmp_path, [("a.png", thing("cup"), "cup", "train", None)]))


def test_samples_are_enrolled_and_scenes_calibrate(boxed):
    detector = make_detector(boxed, describer())
    assert set(detector.exemplars.sources) == {f"{name}.png" for name in NAMES}
    assert detector.labelling.calibration.scenes == 1
    assert detector.labelling.calibration.boxes == 3
    assert sorted(each.label for each in detector.detect(shelf(*NAMES)[0])[:3]) == list(NAMES)


def test_without_scenes_every_other_image_with_boxes_calibrates_without_itself(tmp_path):
    manifest = shelves(tmp_path, ("cup", "jar"), ("jar", "cup"), ("cup", "tin"), ("tin", "cup"))
    detector = make_detector(manifest, describer())
    assert len(detector.exemplars) == 8
    assert detector.labelling.calibration.scenes == 2
    assert [scene.id for scene in evaluation_scenes(manifest)] == ["1.png", "3.png"]


def test_a_scene_that_stands_alone_calibrates_and_is_not_evaluated(boxed):
    assert evaluation_scenes(boxed) == []


def test_scenes_that_are_evaluated_did_not_calibrate(tmp_path):
    image, boxes = shelf(*NAMES)
    rows = [(f"shelf{number}.png", image, name, "scene", box) for number in range(5) for name, box in boxes.items()]
    rows += [(f"{name}.png", each.image, name, "train", each.box) for name, each in zip(NAMES, samples(), strict=True)]
    manifest = write(tmp_path, rows)
    assert [scene.id for scene in evaluation_scenes(manifest)] == ["shelf1.png", "shelf3.png"]
    assert make_detector(manifest, describer()).labelling.calibration.scenes == 3


def test_of_whole_images_a_few_of_each_label_are_enrolled_and_nothing_is_calibrated(tmp_path):
    rows = [
        (f"{name}{view}.png", scene((thing(name), 20 + view, 30), width=150, height=150), name, "train", None)
        for name in NAMES[:2]
        for view in range(VIEWS + 2)
    ]
    detector = make_detector(write(tmp_path, rows), describer())
    assert np.bincount(detector.exemplars.labels).tolist() == [VIEWS, VIEWS]
    assert detector.labelling.calibration is None


def test_distractors_are_not_enrolled(boxed, tmp_path):
    rows = [("cup.png", thing("cup"), "cup", "test", None), ("jar.png", thing("jar"), "jar", "distractor", None)]
    assert make_detector(write(tmp_path, rows), describer()).exemplars.classes == ("cup",)
