import numpy as np
import torch

from model.data.augmentation import cropped, random_crops
from model.data.images import resize

SIDE = 100


def crops(seed, count=2000):
    return random_crops(np.random.default_rng(seed), count, SIDE)


def test_crops_lie_within_the_image_and_keep_their_area_and_proportion():
    top, left, height, width, mirrored = crops(0).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= SIDE).all()
    assert (left + width <= SIDE).all()
    whole = (height < SIDE) & (width < SIDE)  # not cut to the image
    assert (height * width)[whole].min() > 0.39 * SIDE**2
    assert 0.74 < (width / height)[whole].min() < (width / height)[whole].max() < 1.36
    assert 0.4 < mirrored.mean() < 0.6
    assert {0, 1} == set(mirrored)


def test_the_same_seed_draws_the_same_and_another_another():
    assert np.array_equal(crops((1, 2, 3)), crops((1, 2, 3)))
    assert not np.array_equal(crops((1, 2, 3)), crops((1, 2, 4)))


def test_a_crop_shows_its_part_of_the_image_mirrored_where_asked():
    image = np.zeros((4, 4, 3), np.uint8)
    image[1, 2] = 200
    found = cropped(np.stack([image, image]), np.array([[1, 2, 2, 2, 0], [1, 2, 2, 2, 1]]), 2)
    assert found.dtype == torch.uint8
    assert found[0, 0].tolist() == [[200, 0], [0, 0]]
    assert found[1, 0].tolist() == [[0, 200], [0, 0]]


def test_a_crop_is_close_to_its_part_resized_with_antialiasing():
    ramp = np.add.outer(np.arange(60), 2 * np.arange(60)).astype(np.uint8)[..., None].repeat(3, axis=2)
    (found,) = cropped(ramp[None], np.array([[4, 8, 48, 42, 1]]), 40)
    expected = resize(torch.from_numpy(ramp[4:52, 8:50]).permute(2, 0, 1), 40).flip(2)
    assert (found.int() - expected.int()).abs().max() <= 1
