import numpy as np
import pytest
import torch

from model.data.image_batches import BATCH, decoded_batches, normalised_batches
from model.data.images import load_image, normalise
from model.data.manifest import read_manifest, write_manifest
from model.errors import InvalidInput
from model.networks.trunk import make_trunk
from tests.support.datasets import draw_view


@pytest.fixture
def manifest(tmp_path):
    for view in range(3):
        (tmp_path / f"{view}.png").write_bytes(draw_view(0, view))
    return read_manifest(write(tmp_path, ["0.png", "1.png", "2.png"]))


def write(folder, paths):
    write_manifest(folder, [(path, "a", "train", None) for path in paths])
    return folder


def test_images_come_in_the_order_of_the_rows_and_in_full_batches(manifest):
    rows = np.resize([2, 0, 1], BATCH + 2)
    first, second = decoded_batches(manifest, rows, 16)
    assert (len(first), len(second)) == (BATCH, 2)
    expected = [load_image(manifest.folder / f"{row}.png", 16) for row in rows]
    assert torch.equal(torch.cat([first, second]), torch.stack(expected))


def test_no_rows_give_no_batch(manifest):
    assert list(decoded_batches(manifest, np.empty(0, np.int64), 16)) == []


def test_batches_are_normalised_for_the_trunk(manifest):
    trunk, rows = make_trunk("test_efficientnet", "none"), np.array([1])
    (images,), (normalised,) = decoded_batches(manifest, rows, 16), normalised_batches(manifest, rows, trunk, 16)
    assert torch.equal(normalised, normalise(images, trunk.mean, trunk.std))


def test_an_image_that_cannot_be_read_is_named(manifest):
    (manifest.folder / "1.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"1\.png"):
        list(decoded_batches(manifest, np.array([0, 1]), 16))
