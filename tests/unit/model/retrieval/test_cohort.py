"""The cohort of a network, and the offsets by which it normalises the similarity of pairs."""

import numpy as np
import pytest

from model.errors import InvalidInput
from model.retrieval import cohort
from model.retrieval.cohort import COHORT, WEIGHT, Cohort


def at(*degrees):
    """Unit vectors at angles in a plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_cohort_is_the_mean_direction_of_each_class():
    found = Cohort.of(at(0, 100, 20, 140), np.array([7, 3, 7, 3]))
    np.testing.assert_allclose(found.means, at(120, 10), atol=1e-6)


def test_the_offset_of_an_image_is_a_share_of_its_similarity_to_the_nearest_class():
    found = Cohort(at(120, 10)).offsets(at(70, 10, 190))
    np.testing.assert_allclose(found, WEIGHT * np.cos(np.radians([50, 0, 70])), atol=1e-6)


def test_of_many_classes_some_are_taken_at_equal_distances(monkeypatch):
    monkeypatch.setattr(cohort, "MOST", 3)
    found = Cohort.of(at(*range(0, 50, 10)), np.arange(5))
    np.testing.assert_allclose(found.means, at(0, 20, 40), atol=1e-6)


def test_images_that_cancel_each_other_out_are_no_division_by_zero():
    assert np.isfinite(Cohort.of(at(0, 180), np.array([0, 0])).offsets(at(30))).all()


def test_what_is_saved_is_read_again_with_its_weight(tmp_path):
    saved = Cohort(at(0, 90), 0.125)
    saved.save(tmp_path / COHORT)
    found = Cohort.load(tmp_path / COHORT)
    assert found.weight == 0.125
    np.testing.assert_array_equal(found.means, saved.means)


@pytest.mark.parametrize("content", [None, b"", b"no tensors"], ids=["missing", "empty", "other"])
def test_a_file_without_a_cohort_is_refused_by_name(tmp_path, content):
    if content is not None:
        (tmp_path / COHORT).write_bytes(content)
    with pytest.raises(InvalidInput, match=COHORT):
        Cohort.load(tmp_path / COHORT)
