import numpy as np

from model.detection.keypoints import extract_keypoints, fit_axes, root
from tests.support.images import scenery


def grey(seed=0):
    return scenery(seed).float().mean(dim=0).byte().numpy()


def test_a_blank_image_has_no_keypoints():
    found = extract_keypoints(np.full((60, 80), 128, np.uint8), 100, spread=True)
    assert len(found) == 0
    assert found.descriptors.shape == (0, 128)


def test_the_limit_holds_and_descriptors_have_length_one():
    found = extract_keypoints(grey(), 20, spread=False)
    assert len(found) == 20
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-5)


def test_keypoints_lie_in_the_mask():
    image = grey()
    mask = np.zeros(image.shape, bool)
    mask[:, : image.shape[1] // 2] = True
    found = extract_keypoints(image, 500, mask, spread=False)
    assert len(found)
    assert (found.positions[:, 0] <= image.shape[1] // 2).all()


def test_spread_keypoints_reach_more_cells_than_the_strongest():
    def cells(spread):
        return len({tuple(each) for each in (extract_keypoints(grey(), 12, spread=spread).positions // 40).astype(int).tolist()})

    assert cells(True) >= cells(False)


def test_the_root_of_a_histogram_has_length_one():
    np.testing.assert_allclose(root(np.array([[9.0, 16, 0]], np.float32)), [[0.6, 0.8, 0]], atol=1e-6)


def test_the_axes_keep_the_directions_of_most_variance():
    random = np.random.default_rng(0)
    values = np.zeros((200, 128), np.float32)
    values[:, 5], values[:, 90] = random.normal(0, 3, 200), random.normal(0, 1, 200)
    axes = fit_axes(values, 2)
    assert abs(axes.directions[5, 0]) > 0.99
    assert abs(axes.directions[90, 1]) > 0.99
    np.testing.assert_allclose(axes.project(values).mean(axis=0), 0, atol=1e-4)
