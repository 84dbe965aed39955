"""The evaluation of a detector on scenes that calibrated nothing."""

import pytest

from model.detection.detector import Detection
from model.detection.of_manifest import make_detector
from model.evaluation.average_precision import ap50_change
from model.evaluation.detection import detect_scenes, figures_of_scenes, paired_scenes
from model.evaluation.scene_images import scene_images
from tests.support.detection import describer, shelves


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    """Six images with boxes, in which three objects stand in different order."""
    orders = (("cup", "jar"), ("jar", "cup"), ("cup", "tin"), ("tin", "cup"), ("jar", "tin"), ("tin", "jar"))
    return shelves(tmp_path_factory.mktemp("boxed"), *orders)


def test_objects_are_found_in_the_other_scenes_without_what_was_cut_from_them(boxed):
    detector = make_detector(boxed, describer())
    seen = []
    found = detect_scenes(detector, boxed, lambda done, total, _: seen.append((done, total)))
    assert [one.scene.id for one in found] == ["1.png", "3.png", "5.png"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert all(each.exemplar.split("#")[0] != one.scene.id for one in found for each in one.detections)
    figures = figures_of_scenes(found, samples=100)
    assert (figures.scenes, figures.boxes) == (3, 6)
    assert figures.ap50.value == pytest.approx(1)
    assert figures.ap50.lower <= figures.ap50.value <= figures.ap50.upper


def test_two_detectors_are_compared_scene_by_scene_and_where_one_finds_nothing_it_loses(boxed):
    found = detect_scenes(make_detector(boxed, describer()), boxed)
    scenes = paired_scenes(found, found[1:])
    assert [len(each.boxes) for each in scenes.truth] == [2, 2, 2]
    assert len(scenes.champion[0].boxes) == 0
    change = ap50_change(scenes, level=0.05, samples=100)
    assert change.mean > 0.2
    assert change.lower < change.mean
    assert ap50_change(paired_scenes(found, found), level=0.05, samples=100) == (0, 0)


def test_without_scenes_there_are_no_figures():
    assert figures_of_scenes([]) is None


def test_scenes_are_shown_with_boxes_found_rightly_wrongly_and_not_at_all(boxed):
    scene = detect_scenes(make_detector(boxed, describer()), boxed)[0]
    (label, box), (missed, _) = scene.scene.truth
    detections = [
        Detection(label, box, 0.9, 30, "a.png"),
        Detection("other", box, 0.75, 20, "b.png"),
        Detection(missed, (0.0, 0.0, 20.0, 20.0), 0.4, 5, "c.png"),  # below what is drawn
    ]
    (shown,) = scene_images([scene._replace(detections=detections)])
    assert [(each.kind, each.label, each.score) for each in shown.boxes] == [
        ("right", label, 0.9),
        ("wrong", "other", 0.75),
        ("missed", missed, None),
    ]
    assert all(0 <= corner <= 1 for each in shown.boxes for corner in each.box)
    assert shown.image.source.startswith("data:image/jpeg;base64,")
