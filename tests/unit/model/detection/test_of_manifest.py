import numpy as np
import pytest

from model.data.images import to_png
from model.data.manifest import read_manifest, write_manifest
from model.detection.of_manifest import VIEWS, has_boxes, make_detector
from tests.support.detection import NAMES, OBJECT, describer, samples, scene, thing


def write(folder, rows):
    """A data set of images (name, image, label, split, box)."""
    for name, image, *_ in rows:
        (folder / name).write_bytes(to_png(image))
    write_manifest(folder, [(name, label, split, box) for name, _, label, split, box in rows])
    return read_manifest(folder)


def shelf(*names):
    left = {name: 10 + 105 * place for place, name in enumerate(names)}
    image = scene(*((thing(name), left[name], 60) for name in names), width=340)
    return image, {name: (float(left[name]), 60.0, float(left[name] + OBJECT), 60.0 + OBJECT) for name in names}


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


def test_without_scenes_images_with_boxes_calibrate_each_without_itself(tmp_path):
    first, second = shelf("cup", "jar"), shelf("jar", "cup")
    rows = [
        (f"{number}.png", image, name, "test", box)
        for number, (image, boxes) in enumerate((first, second))
        for name, box in boxes.items()
    ]
    detector = make_detector(write(tmp_path, rows), describer())
    assert len(detector.exemplars) == 4
    assert detector.labelling.calibration.scenes == 2


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
