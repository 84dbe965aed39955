import torch

from model.networks.pooling import POOLING, average, average_plus_max

MAP = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[-4.0, -2.0], [0.0, -2.0]]]])  # (1, 2, 2, 2)


def test_average_is_the_mean_over_places():
    assert average(MAP).tolist() == [[3.0, -2.0]]


def test_average_plus_max_is_the_sum_of_both():
    assert average_plus_max(MAP).tolist() == [[3.0 + 6.0, -2.0 + 0.0]]


def test_every_pooling_gives_one_vector_a_picture_whatever_the_shape():
    for pool in POOLING.values():
        assert pool(torch.randn(3, 5, 2, 7)).shape == (3, 5)
