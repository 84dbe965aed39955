"""A release with another gallery under the same weights."""

import shutil

import numpy as np
import pytest

from model.data.images import decode_image, to_png
from model.data.manifest import read_manifest
from model.errors import InvalidInput
from model.files import read_json, sha256_json, write_json
from model.gallery_changes import PinnedImages, add_images, remove_images, replace_gallery
from model.gallery_entries import compare_galleries, counts_by_label
from model.golden import QueryImage
from model.release import EXEMPLARS, LOCAL_FEATURES, seal_release, space_id
from model.retrieval.cohort import COHORT, Cohort
from model.retrieval.galleries.entries import Entries
from model.retrieval.galleries.local import LocalGallery
from model.retrieval.galleries.stored import load_gallery
from model.retrieval.local_features import extract
from model.retrieval.stored_reranker import pack, save_reranker
from model.schemas.release_manifest import ReleaseManifest
from tests.support.detection import add_exemplars, scene, thing
from tests.support.enrolment import drawn, drawn_hashes, hashes_of, make_base, pinned
from tests.support.releases import draw_image, make_pin, reseal

CLASSES = [f"class {number}" for number in range(5)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Ten drawn images of five classes: entry n is of class n % 5."""
    return make_base(tmp_path_factory.mktemp("base") / "release")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """MD5s of the gallery's images, by path."""
    return drawn_hashes(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def mugs(tmp_path_factory):
    """Three images of a new label, and one more of a label that is there."""
    return pinned(tmp_path_factory.mktemp("mugs"), {**drawn("mug", 20, 21, 22), **drawn("class 0", 23)})


def add(release, images, out, known):
    return add_images(release, images, out, hashes=lambda pin: known if pin.path == "drawn" else {}, code_revision="test")


@pytest.fixture(scope="module")
def added(base, mugs, known, tmp_path_factory):
    return add(base, mugs, tmp_path_factory.mktemp("added") / "release", known).release


def remove(release, out, *, image_of=None, **named):
    return remove_images(release, out, **named, image_of=image_of or refuse, code_revision="test")


def refuse(entry):
    raise AssertionError(f"{entry} was asked for")


def test_images_are_added_to_labels_that_are_there_and_to_new_ones(base, added):
    assert counts_by_label(added.gallery) == {**dict.fromkeys(CLASSES, 2), "class 0": 3, "mug": 3}
    assert added.gallery.ids.tolist()[10:] == [f"new@4f2c1ab/{name}.png" for name in ("mug/20", "mug/21", "mug/22", "class 0/23")]
    np.testing.assert_array_equal(added.gallery.vectors[:10], base.gallery.vectors)
    (found,) = added.retriever().search([decode_image(draw_image(21))], 1)
    assert (found[0].label, found[0].id) == ("mug", "new@4f2c1ab/mug/21.png")
    assert found[0].score == pytest.approx(1, abs=1e-4)


def test_space_thresholds_and_weights_stay_and_the_release_is_another_one(base, added):
    assert added.embedding_space_id == base.embedding_space_id
    assert added.calibration == base.calibration
    assert added.manifest.files["weights.safetensors"] == base.manifest.files["weights.safetensors"]
    assert added.id != base.id


def test_the_cohort_stays_with_the_thresholds(base, mugs, known, tmp_path):
    parts = shutil.copytree(base.folder, tmp_path / "parts")
    Cohort(base.gallery.vectors[:3]).save(parts / COHORT)
    write_json(parts / "calibration.json", {**read_json(parts / "calibration.json"), "normalised": True})
    normalised = reseal(parts, tmp_path / "normalised")
    found = add(normalised, mugs, tmp_path / "added", known).release
    np.testing.assert_array_equal(found.cohort.means, normalised.cohort.means)
    assert base.cohort is None


def test_the_manifest_names_the_data_of_network_and_gallery(base, added, mugs):
    assert added.pin == base.pin
    assert [pin.named for pin in added.gallery_pins] == ["drawn@0000000", "new@4f2c1ab"]
    assert base.gallery_pins == (base.pin,)


def test_a_release_whose_gallery_is_of_its_training_data_has_the_manifest_and_the_id_that_earlier_code_gave(base):
    stated = read_json(base.folder / "manifest.json")
    assert sorted(stated) == ["code_revision", "data", "embedding_space_id", "files", "format"]
    assert base.manifest.stated() == ReleaseManifest.model_validate(stated).stated() == stated
    assert base.id == sha256_json(stated)[:16]
    assert base.gallery_pins == (base.pin,)


def test_golden_queries_that_are_still_right_are_kept_and_some_are_of_new_images(base, added):
    assert len(added.golden) == len(base.golden) + 2
    assert [added.golden_image(golden).read_bytes() for golden in added.golden] == [
        *(base.golden_image(golden).read_bytes() for golden in base.golden),
        draw_image(20),
        draw_image(23),
    ]
    assert added.golden[-1].neighbours[0].id == "new@4f2c1ab/class 0/23.png"
    for golden in added.golden:
        image = decode_image(added.golden_image(golden).read_bytes())
        (found,) = added.retriever().search([image], len(golden.neighbours))
        assert [each.id for each in found] == [each.id for each in golden.neighbours]


def test_golden_queries_are_bounded_however_often_images_are_added(base, known, tmp_path):
    release, every = base, dict(known)
    for number in range(10):
        images = pinned(tmp_path / f"data{number}", drawn("mug", 100 + 2 * number, 101 + 2 * number), rev=f"{number:040x}")
        every |= images.hashes
        release = add(release, images, tmp_path / f"release{number}", every).release
    assert len(release.golden) == 16
    assert release.golden_image(release.golden[-1]).read_bytes() == draw_image(119)


def test_copies_are_named_and_not_added_again(base, known, tmp_path):
    images = pinned(tmp_path / "data", {**drawn("class 3", 3), **drawn("class 1", 50)})
    result = add(base, images, tmp_path / "release", known)
    assert result.copies == {"class 3/3.png": "drawn/3.png"}
    assert [name for name in result.release.gallery.ids if name.startswith("new")] == ["new@4f2c1ab/class 1/50.png"]


def test_nothing_but_copies_makes_no_release(base, known, tmp_path):
    result = add(base, pinned(tmp_path / "data", drawn("class 3", 3, 8)), tmp_path / "release", known)
    assert result.release is None
    assert result.copies == {"class 3/3.png": "drawn/3.png", "class 3/8.png": "drawn/8.png"}
    assert not (tmp_path / "release").exists()


def test_the_same_data_twice_add_nothing(added, mugs, known, tmp_path):
    again = add_images(
        added, mugs, tmp_path / "again", hashes=lambda pin: known if pin.path == "drawn" else mugs.hashes, code_revision="test"
    )
    assert again.release is None
    assert len(again.copies) == 4


def test_an_image_of_the_gallery_under_another_label_is_refused_and_named(base, known, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        add(base, pinned(tmp_path / "data", drawn("mug", 3)), tmp_path / "release", known)
    assert caught.value.headline.endswith("under another label: mug/3.png (mug) is drawn/3.png (class 3).")
    assert "glocal gallery remove --id" in caught.value.hint


def test_data_without_images_for_a_gallery_are_refused(base, known, tmp_path):
    images = pinned(tmp_path / "data", {})
    with pytest.raises(InvalidInput, match="no images for a gallery"):
        add(base, images, tmp_path / "release", known)
    with pytest.raises(InvalidInput, match="no images for a gallery"):
        replace_gallery(base, images, tmp_path / "release", code_revision="test")


def test_a_removed_label_leaves_nothing_behind(added, base, tmp_path):
    release = remove(added, tmp_path / "release", labels=["mug"])
    assert counts_by_label(release.gallery) == {**dict.fromkeys(CLASSES, 2), "class 0": 3}
    assert "mug" not in release.gallery.classes
    assert release.embedding_space_id == base.embedding_space_id
    stored = [path.read_bytes() for path in (release.folder / "golden").iterdir()]
    assert draw_image(20) not in stored
    assert draw_image(23) in stored
    for golden in release.golden:
        assert all(each.label != "mug" for each in golden.neighbours)


def test_data_of_which_no_image_is_left_are_not_named_any_more(added, base, tmp_path):
    release = remove(added, tmp_path / "release", labels=["mug"], ids=["new@4f2c1ab/class 0/23.png"])
    assert release.gallery_pins == (base.pin,)
    assert sorted(release.gallery.ids) == sorted(base.gallery.ids)
    np.testing.assert_array_equal(release.gallery.vectors, base.gallery.vectors)


def test_single_entries_are_removed_by_id(base, tmp_path):
    release = remove(base, tmp_path / "release", ids=["drawn/3.png"])
    assert counts_by_label(release.gallery) == {**dict.fromkeys(CLASSES, 2), "class 3": 1}
    diff = compare_galleries(base, release)
    assert (diff.removed, diff.added) == ({"class 3": ("drawn/3.png",)}, {})
    assert diff.labels_removed == ()
    assert diff.same_space
    assert diff.same_thresholds


def test_golden_images_of_what_stays_are_asked_for_if_none_of_the_releases_own_is_left(base, mugs, tmp_path):
    mine = replace_gallery(base, mugs, tmp_path / "mine", code_revision="test")
    assert len(mine.golden) == 2
    labels = {golden.neighbours[0].label for golden in mine.golden}
    assert labels == {"mug", "class 0"}
    fewer = remove(mine, tmp_path / "fewer", ids=["new@4f2c1ab/mug/20.png", "new@4f2c1ab/class 0/23.png"],
                   image_of=lambda name: QueryImage((mugs.folder / name.partition("/")[2]).read_bytes(), ".png"))  # fmt: skip
    assert [golden.neighbours[0].id for golden in fewer.golden] == ["new@4f2c1ab/mug/21.png", "new@4f2c1ab/mug/22.png"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"labels": ["class 9"]}, "no label 'class 9'"),
        ({"ids": ["drawn/33.png"]}, "no entry 'drawn/33.png'"),
        ({}, "Nothing is named"),
        ({"labels": CLASSES}, "Nothing would be left of the gallery's 10 entries"),
    ],
)
def test_what_is_not_there_and_everything_cannot_be_removed(base, tmp_path, named, said):
    with pytest.raises(InvalidInput) as caught:
        remove(base, tmp_path / "release", **named)
    assert said in caught.value.headline
    assert caught.value.hint
    assert not (tmp_path / "release").exists()


def test_a_new_gallery_takes_the_place_of_the_old_one(base, mugs, tmp_path):
    release = replace_gallery(base, mugs, tmp_path / "release", code_revision="test")
    assert counts_by_label(release.gallery) == {"class 0": 1, "mug": 3}
    assert [pin.named for pin in release.gallery_pins] == ["new@4f2c1ab"]
    assert release.pin == base.pin
    assert release.embedding_space_id == base.embedding_space_id
    assert release.calibration == base.calibration


def test_images_of_the_training_data_keep_the_ids_that_they_had_there(base, tmp_path):
    images = pinned(tmp_path / "data", drawn("class 1", 1), path="drawn", rev="0" * 40, md5="d" * 32)
    release = replace_gallery(base, images, tmp_path / "release", code_revision="test")
    assert release.gallery.ids.tolist() == ["class 1/1.png"]
    assert replace_gallery(release, images, tmp_path / "again", code_revision="test") is None
    assert not (tmp_path / "again").exists()


def with_reranker(base, out):
    """The release with local features of its images."""
    parts = shutil.copytree(base.folder, out.with_name("parts"))
    (parts / "manifest.json").unlink()
    size = base.spec.image_size
    features = extract(base.network, [decode_image(draw_image(number)) for number in range(10)], size)
    save_reranker(parts / LOCAL_FEATURES, pack(features, size), None, 0.9, base.embedding_space_id)
    return seal_release(parts, out, pin=make_pin(), code_revision="test")


def test_local_features_are_extended_and_cut_with_the_gallery(base, mugs, known, tmp_path):
    release = with_reranker(base, tmp_path / "release")
    grown = add(release, mugs, tmp_path / "grown", known).release
    assert (len(grown.reranker.features), grown.reranker.ratio) == (14, 0.9)
    (expected,) = extract(base.network, [decode_image(draw_image(21))], base.spec.image_size)
    np.testing.assert_allclose(grown.reranker.features[11].descriptors, expected.descriptors, atol=2e-3)
    assert all(each.inliers is not None for golden in grown.golden for each in golden.neighbours)
    cut = remove(grown, tmp_path / "cut", ids=["drawn/0.png"])
    for row in range(13):
        for name in ("positions", "descriptors", "scores"):
            np.testing.assert_array_equal(
                getattr(cut.reranker.features[row], name), getattr(grown.reranker.features[row + 1], name)
            )


@pytest.fixture(scope="module")
def detecting(tmp_path_factory):
    """A release whose objects cup, jar and tin are entries of its gallery, and enrolled, each by its box."""
    root = tmp_path_factory.mktemp("detecting")
    parts = shutil.copytree(make_base(root / "base").folder, root / "parts")
    (parts / "manifest.json").unlink()
    old = load_gallery(parts / "gallery", space_id(parts))
    ids = [*(f"{name}.png#30,40" for name in ("cup", "jar", "tin")), *old.ids[3:]]
    labels = np.concatenate([np.arange(3), old.labels[3:] + 3])
    LocalGallery(old.vectors, Entries.of(labels, ids, ["cup", "jar", "tin", *old.classes])).save(
        parts / "gallery", space_id(parts)
    )
    add_exemplars(parts)
    return seal_release(parts, root / "release", pin=make_pin(), code_revision="test")


def detected(release, image):
    """Labels of what is in a scene, by the score that the endpoint asks for."""
    return {found.label for found in release.detector.detect(image) if found.score >= 0.5}


def test_a_new_object_is_detected_without_training_and_no_more_once_it_is_removed(detecting, tmp_path):
    image = scene((thing("cup", turn=30), 20, 30), (thing("jar"), 180, 120))
    assert detected(detecting, image) == {"cup", "jar"}
    without = remove(detecting, tmp_path / "without", labels=["cup"])
    assert "jar" in detected(without, image)
    assert "cup" not in detected(without, image)
    assert "cup" not in without.detector.exemplars.classes
    shown = scene((thing("cup"), 10, 10), width=116, height=116)
    images = pinned(
        tmp_path / "data", {"beaker/1.png": ("beaker", to_png(shown)), "beaker/2.png": ("beaker", to_png(thing("cup")))}
    )
    grown = add(without, images, tmp_path / "grown", {}).release
    assert detected(grown, image) == {"beaker", "jar"}, "where the cup stands"
    assert grown.detector.labelling == detecting.detector.labelling
    assert set(grown.detector.exemplars.ids) >= {"new@4f2c1ab/beaker/1.png", "jar.png#30,40"}


def test_objects_without_keypoints_are_searched_for_and_not_detected(detecting, tmp_path, caplog):
    blank = to_png(scene(width=50, height=50))
    grown = add(detecting, pinned(tmp_path / "data", {"fog/1.png": ("fog", blank)}), tmp_path / "grown", {}).release
    assert "fog" in grown.gallery.classes
    assert "fog" not in grown.detector.exemplars.classes
    assert "not detected in scenes" in caplog.text


def test_a_release_whose_last_enrolled_object_is_removed_does_not_detect(detecting, tmp_path, caplog):
    release = remove(detecting, tmp_path / "release", labels=["cup", "jar", "tin"])
    assert EXEMPLARS not in release.manifest.files
    assert release.detector is None
    assert "does not detect" in caplog.text


def test_scenes_are_no_entries(base, tmp_path):
    images = pinned(tmp_path / "data", {**drawn("mug", 20), **drawn("shelf", 30)})
    table = images.folder / "manifest.csv"
    table.write_text(table.read_text().replace("shelf,distractor", "shelf,scene"))
    assert len(read_manifest(images.folder)) == 2
    images = PinnedImages(images.pin, images.folder, hashes_of(images.folder))
    release = replace_gallery(base, images, tmp_path / "release", code_revision="test")
    assert counts_by_label(release.gallery) == {"mug": 1}
