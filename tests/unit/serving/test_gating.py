"""What the gate compares a candidate and the champion on, by real detectors."""

import pytest

from model.evaluation.average_precision import ap50_change
from model.release import open_release
from serving.gating import _scenes
from tests.support.detection import shelves
from tests.support.releases import make_full_release, make_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Two releases that detect, one that does not, and data with scenes that neither has seen."""
    root = tmp_path_factory.mktemp("scenes")
    orders = (("cup", "jar"), ("jar", "cup"), ("cup", "tin"), ("tin", "cup"))
    (root / "data").mkdir()
    data = shelves(root / "data", *orders)
    made = (make_full_release(root / "one"), make_full_release(root / "other", seed=1), make_release(root / "none"))
    return data, [open_release(release.folder) for release in made]


def test_both_detect_in_the_same_scenes_of_the_candidates_data(known):
    data, (one, other, _) = known
    scenes = _scenes(one, other, data, None)
    assert len(scenes.truth) == 2
    assert [len(each.boxes) for each in scenes.truth] == [2, 2]
    assert ap50_change(_scenes(one, one, data, None), level=0.05, samples=100) == (0, 0)


def test_a_candidate_that_does_not_detect_loses_all_that_the_champion_finds_and_without_its_detector_nothing_is_compared(known):
    data, (one, _, none) = known
    assert ap50_change(_scenes(none, one, data, None), level=0.05, samples=100).mean < -0.5
    assert _scenes(one, none, data, None) is None
