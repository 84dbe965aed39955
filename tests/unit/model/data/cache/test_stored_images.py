import numpy as np
import pytest

from model.data import image_batches
from model.data.cache import stored_arrays
from model.data.cache.stored_images import images_folder, stored_images
from model.data.images import load_image
from model.data.manifest import read_manifest, write_manifest
from tests.support.datasets import SAMPLES, draw_view, make_dataset


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return read_manifest(make_dataset(tmp_path_factory.mktemp("data")))


@pytest.fixture
def small_batches(monkeypatch):
    """Five batches of seven images, noted on disk after each second one."""
    monkeypatch.setattr(image_batches, "BATCH", 7)
    monkeypatch.setattr(stored_arrays, "_FLUSH_EVERY", 2)


def test_stored_images_are_what_a_trunk_would_see_at_that_size(manifest, tmp_path):
    images = stored_images(manifest, 40, tmp_path / "cache")
    assert (images.shape, images.dtype) == ((SAMPLES, 40, 40, 3), np.uint8)
    assert isinstance(images, np.memmap)
    for row in (0, 9):
        expected = load_image(manifest.folder / str(manifest.paths[row]), 40)
        assert np.array_equal(images[row], expected.permute(1, 2, 0).numpy())


def test_images_are_decoded_once(manifest, tmp_path, monkeypatch):
    before = np.array(stored_images(manifest, 40, tmp_path / "cache"))
    monkeypatch.setattr(image_batches, "load_image", None)
    assert np.array_equal(stored_images(manifest, 40, tmp_path / "cache"), before)


def test_decoding_that_was_interrupted_resumes(manifest, tmp_path, small_batches):
    whole = np.array(stored_images(manifest, 40, tmp_path / "whole"))

    def interrupt(done, total, what):
        if done == 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored_images(manifest, 40, tmp_path / "cache", interrupt)
    told = []
    again = stored_images(manifest, 40, tmp_path / "cache", lambda done, total, what: told.append((done, total)))
    assert np.array_equal(again, whole)
    assert told[0] == (21, SAMPLES)


def test_a_stored_image_of_a_box_shows_the_box(tmp_path):
    (tmp_path / "whole.png").write_bytes(draw_view(0, 0))
    write_manifest(tmp_path, [("whole.png", "a", "train", (0, 0, 16, 16))])
    (image,) = stored_images(read_manifest(tmp_path), 16, tmp_path / "cache")
    whole = load_image(tmp_path / "whole.png", 48).permute(1, 2, 0).numpy()
    assert np.array_equal(image, whole[:16, :16])


def test_images_of_other_data_or_another_size_have_another_cache(tmp_path):
    folders = [images_folder(tmp_path, name * 32, side) for name in "ab" for side in (40, 48)]
    assert len(set(folders)) == 4
