import numpy as np
import pytest
import torch

from model.data import image_batches
from model.data.cache import feature_maps as feature_cache
from model.data.cache import stored_arrays
from model.data.cache.feature_maps import feature_maps, features_folder
from model.data.images import load_image, normalise
from model.data.manifest import read_manifest, write_manifest
from model.networks.trunk import make_trunk
from tests.support.datasets import SAMPLES, draw_view, make_dataset

SIZE = 64


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return read_manifest(make_dataset(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return make_trunk("test_efficientnet", "none").eval()


@pytest.fixture
def small_batches(monkeypatch):
    """Five batches of seven images, noted on disk after each second one."""
    monkeypatch.setattr(image_batches, "BATCH", 7)
    monkeypatch.setattr(stored_arrays, "_FLUSH_EVERY", 2)


def arrays(maps):
    return np.asarray(maps.shallow), np.asarray(maps.deep)


def test_the_maps_are_the_trunks_own_in_half_precision(manifest, trunk, tmp_path):
    maps = feature_maps(manifest, trunk, SIZE, tmp_path / "cache")
    rows = np.array([3, 0])
    images = torch.stack([load_image(manifest.folder / str(manifest.paths[row]), SIZE) for row in rows])
    with torch.inference_mode():
        expected = trunk(normalise(images, trunk.mean, trunk.std))
    for found, wanted in zip(maps[rows], expected, strict=True):
        assert found.dtype == torch.float32
        assert found.shape == wanted.shape
        torch.testing.assert_close(found, wanted, rtol=2e-3, atol=2e-3 * wanted.abs().max().item())


def test_what_is_cached_is_not_computed_again(manifest, trunk, tmp_path, monkeypatch):
    before = arrays(feature_maps(manifest, trunk, SIZE, tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "normalised_batches", None)
    after = arrays(feature_maps(manifest, trunk, SIZE, tmp_path / "cache"))
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("batches", [0, 1, 2, 3, 4])
def test_an_interrupted_computation_resumes_and_equals_the_uninterrupted(
    manifest, trunk, tmp_path, monkeypatch, small_batches, batches
):
    whole = arrays(feature_maps(manifest, trunk, SIZE, tmp_path / "whole"))
    told = []

    def interrupt(done, total, what):
        told.append(done)
        if len(told) == batches:
            raise KeyboardInterrupt

    if batches:
        with pytest.raises(KeyboardInterrupt):
            feature_maps(manifest, trunk, SIZE, tmp_path / "cache", interrupt)
    assert not (tmp_path / "cache").exists()
    resumed = []
    again = arrays(feature_maps(manifest, trunk, SIZE, tmp_path / "cache", lambda done, total, what: resumed.append(done)))
    assert all(np.array_equal(one, other) for one, other in zip(whole, again, strict=True))
    assert resumed[0] == min(7 + 14 * (batches // 2), SAMPLES)  # what was noted on disk is not computed again
    assert resumed[-1] == SAMPLES


def test_killed_when_all_was_computed_it_only_has_to_be_put_in_its_place(manifest, trunk, tmp_path, small_batches):
    whole = arrays(feature_maps(manifest, trunk, SIZE, tmp_path / "cache"))
    (tmp_path / "cache").rename(tmp_path / "cache.partial")
    again = arrays(feature_maps(manifest, trunk, SIZE, tmp_path / "cache", lambda *told: pytest.fail("computed again")))
    assert all(np.array_equal(one, other) for one, other in zip(whole, again, strict=True))


def test_other_data_another_size_or_other_weights_have_another_cache(trunk, tmp_path):
    other = make_trunk("test_efficientnet", "none").eval()
    folders = [
        features_folder(tmp_path, "a" * 32, trunk, SIZE),
        features_folder(tmp_path, "b" * 32, trunk, SIZE),
        features_folder(tmp_path, "a" * 32, trunk, 32),
        features_folder(tmp_path, "a" * 32, other, SIZE),
        features_folder(tmp_path, "a" * 32, make_trunk("test_resnet", "none"), SIZE),
    ]
    assert len(set(folders)) == len(folders)
    assert features_folder(tmp_path, "a" * 32, trunk, SIZE) == folders[0]


def test_a_box_is_cut_out_before_the_trunk_sees_it(trunk, tmp_path):
    for name, view in (("whole", 0), ("other", 1)):
        (tmp_path / f"{name}.png").write_bytes(draw_view(0, view))
    write_manifest(tmp_path, [("whole.png", "a", "train", None), ("whole.png", "a", "train", (0, 0, 16, 16))])
    maps = feature_maps(read_manifest(tmp_path), trunk, SIZE, tmp_path / "cache")
    assert not np.array_equal(maps.deep[0], maps.deep[1])
