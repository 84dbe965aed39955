import numpy as np
import pytest
import torch

from model.detection.cutouts import LONGEST, Sample, cut_out, outlines_of
from model.detection.enrolling import enrol_objects, source_of
from model.detection.exemplars import join
from model.detection.masks import outline_of_whole
from model.errors import InvalidInput
from tests.support.detection import GROUND, NAMES, OBJECT, describer, exemplars, samples, scene, thing


def test_an_exemplar_is_stated_in_units_of_its_size_round_its_middle():
    found = exemplars()
    assert found.classes == NAMES
    assert found.labels.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.sizes, OBJECT, rtol=0.06)
    np.testing.assert_allclose(np.abs(found.outlines).max(axis=(1, 2)), 0.5, atol=0.06)
    assert (np.abs(found.positions) <= 0.56).all()
    assert found.counts.min() > 10
    assert found.sources.tolist() == ["cup.png", "jar.png", "tin.png"]


def test_the_number_of_exemplars_is_bounded_by_label_and_in_all():
    many = samples() * 3
    assert np.bincount(enrol_objects(many, describer(), per_label=2).labels).tolist() == [2, 2, 2]
    assert len(enrol_objects(many, describer(), total=4)) == 4


def test_exemplars_beside_others_count_with_them_and_use_their_projection():
    known = exemplars()
    more = enrol_objects(samples()[:1] * 3, describer(), per_label=2, beside=known)
    assert more.labels.tolist() == [0], "a second cup, and no third"
    assert more.axes is known.axes
    assert len(enrol_objects(samples(), describer(), total=5, beside=known)) == 2
    with pytest.raises(InvalidInput, match="are there already"):
        enrol_objects(samples(), describer(), total=3, beside=known)


def test_joined_exemplars_are_those_of_both_and_their_background_is_bounded():
    known = exemplars()
    other = enrol_objects(
        [sample._replace(label="urn", id=f"urn{n}.png") for n, sample in enumerate(samples())], describer(), beside=known
    )
    both = join(known, other, background=100)
    assert both.classes == ("cup", "jar", "tin", "urn")
    assert both.labels.tolist() == [0, 1, 2, 3, 3, 3]
    assert both.ids.tolist() == [*known.ids, "urn0.png", "urn1.png", "urn2.png"]
    assert len(both.background) == len(both.background_sources) == 100
    assert {"cup.png", "urn2.png"} <= set(both.background_sources)
    for one in (4, 5):
        cut = slice(both.offsets[one], both.offsets[one + 1])
        np.testing.assert_array_equal(both.descriptors[cut], other.descriptors[other.offsets[one - 3] : other.offsets[one - 2]])
        np.testing.assert_array_equal(both.references.lightness[one], other.references.lightness[one - 3])
        np.testing.assert_array_equal(both.references.heads["local"][one], other.references.heads["local"][one - 3])
    back = both.select(both.ids == "jar.png#30,40", both.background_sources == "jar.png")
    np.testing.assert_array_equal(back.descriptors, known.descriptors[known.offsets[1] : known.offsets[2]])


def test_exemplars_of_two_projections_are_not_joined():
    with pytest.raises(InvalidInput, match="two projections"):
        join(exemplars(), enrol_objects(samples()[:1], describer()), background=100)


def test_objects_beside_one_another_are_no_background():
    image = scene((thing("cup"), 10, 60), (thing("jar"), 170, 60))
    boxes = {"cup": (10.0, 60.0, 106.0, 156.0), "jar": (170.0, 60.0, 266.0, 156.0)}
    both = enrol_objects([Sample(image, box, name, f"a.png#{name}") for name, box in boxes.items()], describer())
    alone = enrol_objects([Sample(image, boxes["cup"], "cup", "a.png#cup")], describer())
    assert len(both.background) < len(alone.background)


def test_whole_images_of_one_object_agree_on_its_outline():
    views = [scene((thing("cup"), left, 40), width=180, height=170) for left in (20, 40, 60)]
    noise = [
        torch.randint(0, 256, view.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
        for n, view in enumerate(views)
    ]
    mixed = [torch.where(view == GROUND, other // 4 + 96, view) for view, other in zip(views, noise, strict=True)]
    found = enrol_objects([Sample(image, None, "cup", f"{n}.png") for n, image in enumerate(mixed)], describer())
    assert len(found) == 3
    assert (found.sizes > 0.75 * OBJECT).all()


def test_where_no_outline_is_plausible_in_an_image_alone_that_of_what_the_images_share_is_taken():
    views = [scene((thing("cup", 60), left, 90), width=240, height=240) for left in (80, 90, 100)]
    cutouts = [cut_out(Sample(image, None, "cup", f"{n}.png")) for n, image in enumerate(views)]
    assert [outline_of_whole(cutout.pixels) for cutout in cutouts] == [None] * 3
    shared, alone = outlines_of(cutouts), outlines_of(cutouts[:1])
    assert all(np.ptp(hull, axis=0) == pytest.approx([60, 60], abs=15) for hull in shared)
    assert np.ptp(alone[0], axis=0) == pytest.approx([192, 192])


def test_a_large_object_is_enrolled_from_a_reduced_image():
    image = scene((thing("cup", 600), 100, 100), width=900, height=800)
    cut = cut_out(Sample(image, (100.0, 100.0, 700.0, 700.0), "cup", "a#0"))
    assert max(cut.box[2] - cut.box[0], cut.box[3] - cut.box[1]) == pytest.approx(LONGEST)


def test_images_without_keypoints_cannot_be_enrolled():
    blank = torch.full((3, 50, 50), GROUND, dtype=torch.uint8)
    with pytest.raises(InvalidInput, match="no image has a keypoint"):
        enrol_objects([Sample(blank, None, "cup", "a.png")], describer())
    with pytest.raises(InvalidInput, match="no image has a keypoint"):
        enrol_objects([], describer())


def test_the_source_of_a_sample_is_its_image():
    assert source_of("a/b.png#1,2,3,4") == source_of("a/b.png") == "a/b.png"
