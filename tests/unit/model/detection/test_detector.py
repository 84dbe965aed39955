import numpy as np
import pytest
import torch

from model.detection.boxes import overlaps
from model.detection.detector import Detector
from model.detection.enrolling import enrol_objects
from model.detection.judging import Scene, judge_scenes
from model.detection.labelling import default_labelling
from tests.support.detection import GROUND, describer, exemplars, samples, scene, thing
from tests.support.images import scenery


@pytest.fixture(scope="module")
def detector():
    network = describer()
    return Detector(exemplars(), network, default_labelling(network.features))


def best(detector, image, count):
    return sorted(detector.detect(image)[:count], key=lambda each: each.box[0])


def iou(box, other):
    return float(overlaps(np.array([box]), np.array([other]))[0, 0])


def test_objects_are_found_with_their_boxes_best_score_first(detector):
    found = detector.detect(scene((thing("jar"), 10, 60), (thing("cup", 130), 170, 50)))
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    jar, cup = best(detector, scene((thing("jar"), 10, 60), (thing("cup", 130), 170, 50)), 2)
    assert (jar.label, cup.label) == ("jar", "cup")
    assert iou(jar.box, (10, 60, 106, 156)) > 0.8
    assert iou(cup.box, (170, 50, 300, 180)) > 0.8
    assert jar.exemplar == "jar.png#30,40"
    assert jar.inliers >= 6


def test_an_object_that_is_turned_is_found(detector):
    turned = thing("tin", 120, 30)
    (found,) = best(detector, scene((turned, 100, 50)), 1)
    assert found.label == "tin"
    assert iou(found.box, (100, 50, 100 + turned.shape[1], 50 + turned.shape[1])) > 0.8


def test_of_two_objects_that_overlap_both_are_found(detector):
    found = best(detector, scene((thing("jar"), 60, 60), (thing("tin"), 110, 90)), 2)
    assert [each.label for each in found] == ["jar", "tin"]


@pytest.mark.parametrize("side", [1, 2, 40])
def test_a_blank_image_has_no_objects(detector, side):
    assert detector.detect(torch.full((3, side, side), GROUND, dtype=torch.uint8)) == []


def test_what_is_not_enrolled_has_fewer_inliers_and_a_lower_score(detector):
    (known,) = best(detector, scene((thing("jar"), 10, 60)), 1)
    for found in detector.detect(scenery(99)):
        assert found.inliers < known.inliers / 4
        assert found.score < known.score


def test_a_large_scene_is_reduced_and_its_boxes_are_in_its_own_pixels(detector):
    image = scene((thing("cup", 300), 900, 700), width=2600, height=1300)
    (found,) = best(detector, image, 1)
    assert found.label == "cup"
    assert iou(found.box, (900, 700, 1200, 1000)) > 0.8


@pytest.mark.parametrize("method", ["multi_head", "multi_head_paper", "proxy_anchor", "delg"])
def test_a_network_without_some_of_the_heads_detects_with_what_it_has(method):
    network = describer(method)
    detector = Detector(enrol_objects(samples(), network), network, default_labelling(network.features))
    (found,) = best(detector, scene((thing("jar"), 100, 60)), 1)
    assert found.label == "jar"


def test_without_an_image_nothing_cut_from_it_is_enrolled(detector):
    assert set(detector.without(["jar.png"]).exemplars.labels.tolist()) == {0, 2}
    assert detector.without(["other.png"]) is detector
    assert detector.without(["cup.png", "jar.png", "tin.png"]) is None


def test_a_scene_is_judged_without_what_was_cut_from_it(detector):
    image, box = scene((thing("jar"), 10, 60)), (10.0, 60.0, 106.0, 156.0)
    other, itself = (Scene(name, lambda: image, [("jar", box)]) for name in ("shelf.png", "jar.png"))
    assert judge_scenes(detector, [other])[0].right.any()
    assert not judge_scenes(detector, [itself])[0].right.any()
